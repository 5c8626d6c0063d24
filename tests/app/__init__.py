"""Tests of the terminology service, against a real Postgres and a real Redis.

`hms.bench` starts both from the machine's packages. Nothing is left running, and nothing outside a temporary directory
is used.

May import: app, hms.
"""
