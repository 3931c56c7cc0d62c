"""MOR by Kolmisoft, whose requests are signed by a hash over some of their values.

vendor ends in VENDOR; questions asks; hash says what is hashed, in hash_order.txt's order; answer reads what MOR
says, xml its documents; methods tells those that only read from those that change something; api is any method.
"""
