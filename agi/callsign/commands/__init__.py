"""The administrator's commands, a module for each; main runs the one that is named, and imports no other.

bin/ starts main and agi_debug within shell, which ends a process as a shell expects it.  parser reads a command
line; interrupts is what ^C does; common is what commands share.

    serve         the server             sandbox         the stand-ins
    check         of checks; where a FreePBX is also of freepbx, where are more hosts of check_cluster; root's also
                  of tried_as: as the service's user and Asterisk's see it, within unit_limits of the service; with
                  --online also of check_online and check_database
    status        of health and questions; with --check as nagios judges it
    jobs          as job_rows; and retry, drop by edit_jobs; moments is what --since and --until name, job_names a job
    cluster       the PostgreSQL of several hosts; all_hosts is what status says of it, all_jobs what jobs, retry and
                  drop are there
    call          one handler            sign            text and signature
    api           any call of a vendor   cdr             by cdr_periods, joined by cdr_joining;
                                         cdr_selecting, where a clock is set back
    help          the texts in help/     backup          a copy of the store
    asterisk_conf where Asterisk keeps what, and whom it runs as: for check and agi_debug
    access        what install.sh runs to let the service and Asterisk in; exchange, to swap two folders at one stroke
    demo          install.sh demo: server, stand-in vendors and Asterisk, and a call of each kind
"""
