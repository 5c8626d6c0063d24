"""The program that writes through a drill, in a pod of its own: open loop, one ledger for each way to write.

May import: hms.
"""
