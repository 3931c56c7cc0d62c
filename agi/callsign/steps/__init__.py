"""What one AGI() line means: from the line in the dialplan to the channel variables it sets.

attend is the whole way of one session; step parses, handlers decide, answer never raises; call_guard goes on for a call
whose thread hangs.
offices says which office of Skarabee a call is for.
To wait for a job and to ask a vendor are handed in as functions.
"""
