"""What each vendor wants: constants of its manual, text to sign, conversation, judgement of the answer.

A vendor is a folder whose vendor.py ends in VENDOR; interface says what that is.  vendor.py loads nothing long, the
rest of the folder is loaded when it is needed: skarabee, noojee, mor, kalliope, sraps; signing is what several need.
For `callsign api` there is an api in each but skarabee; api and api_usage beside them hold what is common,
links follows the links of answers.
A conversation does no input or output and reads no clock itself, so it is tested without a socket.
`registry.VENDORS` is all that the rest knows of them: a further vendor is its folder, an entry there and in
`callsign.SYSTEMS`, its section in `settings`, its subroutine and its test.
"""
