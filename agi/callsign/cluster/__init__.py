"""Several hosts share the work: PostgreSQL is a witness beside each one's own store.  Loaded only for [cluster].

statements is all that is said to it, on a connection whose exchanges have a limit; figures what the metrics tell of it.
view is what the commands ask and change there, care whether it is as a host needs it.
"""
