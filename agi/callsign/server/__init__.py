"""`callsign serve`: one long-lived process, started by systemd.

serve starts and ends the process, running is the server that is wired together in it; listening opens the socket that
calls come in by, systemd keeps it and is told how we are; metrics counts, cluster_metrics tells what is counted
of the other hosts, metrics_page shows.
"""
