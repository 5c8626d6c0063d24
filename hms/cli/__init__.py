"""The command line: one file a command, no logic of its own.

May import: nothing but hms, smoke, loadtests and drills.
"""
