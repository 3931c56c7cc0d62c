"""callsign.agi: one process per call, started by Asterisk.

fork is imported before all else and imports next to nothing; main is one session; rounds delivers afterwards,
where no server does.  one_step is the same without Asterisk.  script_log is where
its lines go.
"""
