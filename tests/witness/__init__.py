"""Tests of the witnesses: the core by an explorer of all interleavings, the rest against a real Postgres.

May import: hms, witness.
"""
