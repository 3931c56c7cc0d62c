"""Stand-in vendors on loopback, to try a dialplan without an account.

Every stand-in is written from the vendor's own document and is as strict as that document: signatures,
clocks and single use are checked, and a request that the document does not describe is refused with an
explanation. Nothing here is shared with the code that signs, so that a misreading on one side shows up as a
refusal from the other.

    messages.py    what a stand-in is given and gives back: Request, Answer, Trouble
    record.py      SeenRequest: one request as it came, and its masked line for the screen
    skarabee.py    noojee.py    mor.py    kalliope.py    sraps.py    one vendor each: pure judging, no socket
    kalliope_register.py   its calls: which period is meant, how they are shown
    hawk.py        what sraps checks a request by, and signs its answer with
    sandbox.py     VENDORS, the registry; Sandbox, which routes, troubles and records
    http_server.py the sockets: HTTP/1.1 with keep-alive, TLS, a stop that does not wait

A further vendor is one file with a class shaped like `messages.Vendor`, and one entry in `sandbox.VENDORS`.
"""
