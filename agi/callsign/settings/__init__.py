"""callsign.toml as frozen values; every fault is named with section and key.

load reads a file (text) into the classes of sections by means of readers, which say what a key may hold;
a secret shows itself to nobody who does not ask.
"""
