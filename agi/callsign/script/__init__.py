"""callsign.agi: one process per call, started by Asterisk.

fork is imported before all else and imports next to nothing; main is one session, or one step without Asterisk;
rounds delivers afterwards, where no server does; script_log is where its lines go.
"""
