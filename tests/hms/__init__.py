"""Tests of the nouns, the judging core, verification and the report.

May import: hms, tests.
"""
