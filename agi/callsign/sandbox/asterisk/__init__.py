"""Asterisk's half of AGI without an Asterisk, for `agi-debug` and for tests.

play does what the dialplan's `AGI()` does (`run_fastagi`, `run_script`) or does so on a wire that stands already, and
returns a `Session`.  `call.Call` is who calls, `behaviour.Conduct` how this Asterisk behaves.  Below them:
dialog (the session), commands (the answers), channel (the variables), parsing (the words), wire (the bytes).
Source: res/res_agi.c (launch_netscript, launch_script, run_agi), held against Asterisk 16.28 and 22.10.
"""
