"""Tests of the drills: the ledger's writers against a real Postgres and a real Redis, and the pure parts."""
