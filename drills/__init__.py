"""Does the stack survive? One fault at a time, a ledger of every write, and the reckoning.

May import: hms.
"""
