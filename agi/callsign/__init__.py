"""callsign: signs and fires vendor API calls from the Asterisk dialplan.

The way of a call through the files is a straight line::

    AGI() in the dialplan
      -> fastagi_server | agi_script     accept, one session each
      -> agi_session                     the agi_* lines in (bounded_lines), which agi_block mistrusts, and
                                         SET VARIABLE out (agi_connection)
      -> answering                       the door: whatever happens, a status comes out
      -> handlers                        HANDLERS[path]: dialplan_step -> a Notification (facts, no signature)
      -> outbox                          committed by outbox_writer; only now does the dialplan go on (outbox_incoming)
      or, for what the dialplan wants to know at once:
      -> handlers -> asking              a conversation with the vendor, beside the call and bounded by its wait
    and behind it, when no call waits (calls_first, outbox_hand_over):
      outbox -> delivery -> lanes        which job is next, per vendor, in order (job_order); lane_workers are the
                                         threads that lead each to its end; outcomes tells who waits
      -> vendors.*                       a conversation: sign with the clock of this attempt, judge the answer
                                         (notifications and questions alike; vendors.shape says what a vendor is)
      -> http_transport                  send, within a deadline (http_connections, http_dialing, kernel_timeouts;
                                         http_answers says where an answer ends, http_faults why there is none)

A plain script has a second process (script_process) that answers and then delivers (script_delivery), unless
a server does; the doorbell tells one process what another has stored, and by the election only one delivers.
What was open at a start is read by outbox_backlog, what the last stop could not write by outbox_unwritten.
The store (outbox_file) stands behind a lock (outbox_access) in a folder of its own (outbox_folder); outbox_watch sees
its files removed or cut, outbox_check overwritten; outbox_aside puts them away, and a new one gets what waits.
Beside the calls, keeping fetches what questions are looked up in; overdue goes on for a call whose thread
hangs.  `jobs` and `status` look by outbox_reader, `retry` and `drop` write by outbox_edits; root becomes the
store_owner before.  systemd hears of `serve` through the service_manager, whose watchdog is fed after an own_call
was answered, and keeps the socket that calls come in by (listening) from one process to the next.
Of sessions that wait for their peers waiting_peers ends the longest when places run short; peer_log says
of each peer what is wrong with it.
A thread that may be one too many for the system is begun by thread_starts; the log goes through stderr_queue.
A command from the shell runs within a shell_process.  Root's `check` looks as those who need settings and store
(tried_as), within the unit_limits; access lets them in.
Where `[server] metrics` is set, metrics hears of each step's and attempt's end, and metrics_page shows it;
`status --check` is nagios_check; `cdr` (cdr_command, cdr_joining) downloads a KalliopePBX's call register.

Imports point one way: entry points (commands, admin, inspection, …_check, …_command, agi_debug) -> drivers
(fastagi_server, agi_script, delivery, asking) -> handlers -> rims (config, outbox, http_transport,
agi_session) -> vendors and values (settings, notification, question, phone_numbers, http_messages,
retry_schedule, clocks).  `tests/test_layout.py` holds this.  `sandbox` and `asterisk_side` play the
other ends and share no code with the rest.
"""

__version__ = "1.0.0"

SYSTEMS = ("skarabee", "noojee", "mor", "kalliope", "sraps")
"""The vendors, each with a file, a section of the settings, channel variables and paths of its name."""
