"""callsign: signs and fires vendor API calls from the Asterisk dialplan.

Who starts it:

    server/          systemd: `callsign serve`, one long-lived process
    script/          Asterisk: AGI(callsign.agi,…), one process per call
    commands/        the administrator: `callsign`, `agi-debug`, the demo

A call's way, from top to bottom:

    agi/             the AGI protocol on a socket or on pipes: the agi_* lines in, SET VARIABLE out
    steps/           what one AGI() line means; whatever happens, a status comes out
    outbox/          a notification is committed to disk; only now does the dialplan go on
    delivery/        behind it, per account and in order: runs conversations with vendors to their end; and
                     beside a call that waits, where the dialplan asks
    cluster/         where several hosts share the work: what each tells the others, by way of PostgreSQL
    vendors/         what each vendor wants: sign with the clock of this attempt, converse, judge the answer
    http/            one exchange with a vendor, over by its deadline
    settings/        callsign.toml and callsign.d as frozen values; the accounts of each vendor

What all may use:

    clocks           wall clock and boot clock
    log_text         text fit for log and channel; where a fault was
    nonces           numbers used once
    notification     Notification, State
    phone_numbers    as a vendor wants them; withheld ones; Asterisk's patterns
    record           classes that are their fields
    stderr_queue     the log, where nobody reads it
    thread_starts    begins a thread that may be one too many for the system
    timed_get        waits for a queue's next item, and no longer than it was told
    verdicts         what comes of an attempt and of a question

The other ends:

    sandbox/         plays vendors and Asterisk, shares no code with the rest; only commands start it

Imports go downwards, a folder's docstring says what is in it; `tests/test_layout.py` holds both.
"""

__version__ = "1.0.0"

SYSTEMS = ("skarabee", "noojee", "mor", "kalliope", "sraps")
"""The vendors, each with a folder, a section of the settings, channel variables and paths of its name."""
