"""Tests of the smoke checks: what they read, and that broken stacks do not pass them.

May import: hms, smoke, tests.
"""
