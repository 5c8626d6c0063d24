"""Tests of the outside tools.

May import: hms.
"""
