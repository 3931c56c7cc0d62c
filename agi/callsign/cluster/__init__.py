"""Several hosts share the work: PostgreSQL is a witness beside each one's own store.  Loaded only for [cluster].

gate is what the delivery sees.  Each job that this host has a hand in stands in the ledger; its life is a table's.
patience is what happens to it when nobody says anything.
known is which of them the others may know of, while they cannot be told.
publishing tells the others what is pending, and hears what they have done: telling is one exchange, in the form of
rows, and answers says what it means.
Once a second rounds give a sign of life and take over the jobs of the dead, which is adopting; membership knows who
that is, and how long our own lease is; reconcile makes one of what the database says is ours and what we hold.  slots
are a vendor's limit over all hosts, trying is who tries one that is away; sharing hands on what one host has got from
it for all.  schema is the tables, statements all that is said of them, on a connection whose exchanges have a limit;
trouble is what the log says of that, figures what the metrics tell.  view is what the commands ask and change there,
care whether it is as a host needs it.
"""
