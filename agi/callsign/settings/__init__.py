"""callsign.toml and callsign.d as frozen values; every fault is named with file, section and key.

load reads the files (text) and puts them together into the classes of sections: walk reads a section by means of
readers, which say what a key may hold (database which PostgreSQL), and cross_check what no single one shows.
accounts says how an account is called; a secret shows itself to nobody who does not ask.
"""
