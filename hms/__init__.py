"""The nouns that pass between the rooms, the judging core, the report, the command line and the test cluster.

May import: nothing of ours.
"""

__version__ = "0.1.0"
