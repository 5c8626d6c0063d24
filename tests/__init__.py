"""The tests, in folders that mirror the rooms.

May import: app, drills, hms, infra, loadtests, smoke.
"""
