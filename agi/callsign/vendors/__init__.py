"""What each vendor wants: constants of its manual, text to sign, conversation, judgement of the answer.

A vendor is one file, or a folder whose vendor.py ends in VENDOR; interface says what that is.
mor, kalliope and sraps are such folders, skarabee and noojee such files; signing is what several need.
noojee_memory is what is remembered of a recorder.
For `callsign api` there is an api in each, noojee_api for noojee; api and api_usage beside them hold what is common,
links follows the links of answers.
A conversation does no input or output and reads no clock itself, so it is tested without a socket.
`registry.VENDORS` is all that the rest knows of them: a further vendor is its file, an entry there and in
`callsign.SYSTEMS`, its section in `settings`, its subroutine and its test.
"""
