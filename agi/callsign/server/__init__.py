"""`callsign serve`: one long-lived process, started by systemd.

serve wires everything; listening opens the socket that calls come in by, systemd keeps it and is told how we are;
metrics counts, metrics_page shows.
"""
