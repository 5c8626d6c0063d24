"""Tests of the terminology service, against a real Postgres and a real Redis.

The tests start both from the machine's packages. `processes.PACKAGES` names the Debian packages. Nothing is left
running, and nothing outside a temporary directory is used.

May import: app.
"""
