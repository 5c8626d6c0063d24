"""The faults, a file for each family: what is done, how it is undone, how it is proved, what must stay true.

May import: hms.
"""
