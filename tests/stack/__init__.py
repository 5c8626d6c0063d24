"""Tests of the spec and of the driver of pulumi.

May import: hms, tests.
"""
