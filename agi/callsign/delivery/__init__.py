"""Runs conversations with vendors to their end: stored jobs, questions of calls, and what is fetched beforehand.

deliverer puts each job on its lane; of several processes one delivers (election).  Each account has a lane (accounts):
order says which job waits for which, turns whose turn it is, pace how fast and how many at once, doubts what has ended
and may still be carried out.  Its workers are the threads that run each job to its end; attempts says what becomes of
it, retry when it is tried again, outcomes tells the calls that wait.
gate is where jobs pass that other hosts have a word in.  lost_sections are vendors whose jobs wait while no section
names them.  asking is a question while a call waits, prefetch what questions are looked up in.  A conversation is a
generator of requests; conversation runs it, `send` is handed in.
"""
