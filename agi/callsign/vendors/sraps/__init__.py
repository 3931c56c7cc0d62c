"""snom SRAPS: which provisioning profile a phone has, and giving it another one.

vendor ends in VENDOR; phones asks and assigns, client walks the service's links, answers judges what it says,
memory keeps the links that were found; hawk signs; api is any other call.
"""
