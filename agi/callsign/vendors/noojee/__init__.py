"""Noojee, the recorder of calls.

vendor ends in VENDOR; conversation starts and stops a recording and judges what the recorder says, memory is what is
remembered of it; api is any method.
"""
