"""The AGI protocol: sessions with Asterisk over a socket (FastAGI) or pipes (a plain script).

listener accepts and gives each call a thread, places counts both; session, made of pyst2, speaks AGI over a connection,
in bounded lines;
connection is the way to Asterisk, a script's pipes, and socket_connection a server's;
replies reads what Asterisk answers, block mistrusts the agi_* lines; waiting_peers ends the longest silence when
places run short, peer_log says of each peer what is wrong with it; ping plays Asterisk for one `ping`; fault_status
sets a status where callsign itself has failed.
Every wait is bounded in time, everything received in size.  Knows no setting and no vendor.
"""
