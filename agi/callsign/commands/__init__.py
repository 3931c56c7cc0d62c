"""The administrator's commands.  A command imports what it needs when it runs.

main parses the arguments and runs has one function per command; bin/ starts main and agi_debug within shell, which
ends a process as a shell expects it.

    admin         check, sign            check_online    check --online
    tried_as      check by root: looks as those who need settings and store, within unit_limits of the service
    access        what install.sh runs to let them in
    asterisk_conf where Asterisk keeps what, and whom it runs as
    status        status                 nagios          status --check
    jobs          jobs                   edit_jobs       retry, drop
    moments       what --since and --until name
    call          call, without Asterisk
    freepbx       check, where a FreePBX is: which of its numbers [numbers] internal does not know
    topics        help TOPIC: the texts in help/
    mor           mor METHOD
    cdr           cdr, with cdr_joining for its monthly parts
    demo          install.sh demo: server, stand-in vendors and Asterisk, and a call of each kind
"""
