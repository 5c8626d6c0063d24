"""Reads beside the writers, in the same program and on the same clock: what users who only look things up feel.

    target.py    what a reader reads, and what came of it     runner.py   open loop, every read on record
    postgres.py  the primary, and a replica                   redis.py    the primary
    api.py       search, look-up, bookmarks through the app

May import: hms.
"""
