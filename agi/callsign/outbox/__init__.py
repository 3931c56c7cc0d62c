"""Notifications on disk: what `Outbox.add` returned for survives kill -9, an outage and a restart.

outbox is the door.  One thread writes: writer, which takes from write_queue and, by hand_over, gives what it has
committed to whoever delivers; feed reads what was open at a start, unwritten what the last stop could not write;
doorbell tells one process that another has stored something, others finds that.  Everybody may read (reader), and
shown is what they see; edits are `retry` and `drop`.
The store is a file of SQLite (schema; jobs are its rows, digest names one by its key, values what they become), which
sync brings to the disk and upkeep keeps short, behind a lock (access) in a folder of its own, whose owner root becomes
before it looks.
watch sees the files removed or cut, check overwritten; aside puts them away, and after_loss gives a new one what waits.
Knows no vendor, no HTTP, no settings.
"""
