"""KalliopePBX: which extension last placed a call to a number, from its register of calls.

vendor ends in VENDOR; last_call asks, history is what is known of the calls, by its pbx_clock; requests asks for
a part of the register, register reads it, signing signs; api is any other call.
"""
