"""Skarabee, the estate agents' CRM.

vendor ends in VENDOR; conversation signs and sends a notification, and judges what the service says.
"""
