"""Several hosts share the work: PostgreSQL is a witness beside each one's own store.  Loaded only for [cluster].

figures are what the metrics tell of it.
"""
