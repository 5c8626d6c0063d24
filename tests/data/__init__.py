"""Tests of filling a stack: the SQL on a real Postgres with the service's own tables, the Job by its shape.

May import: hms, tests.
"""
