"""Tests of the witnesses' core: by example, and by an explorer of all interleavings of a small cluster.

May import: hms, witness.
"""
