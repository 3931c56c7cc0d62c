"""Stand-ins for the far ends, vendors and Asterisk, to try a dialplan without an account and callsign without Asterisk.

vendors and asterisk are written from their documents and share no code with the rest; command is `callsign sandbox`.
"""
