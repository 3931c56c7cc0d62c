"""KalliopePBX: which extension last placed a call to a number, from its register of calls.

vendor ends in VENDOR; last_call asks, history is what is known of the calls, by its pbx_clock; register reads a
part of the register, signing signs; api is any other call.
"""
