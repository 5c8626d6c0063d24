"""The program that watches a drill beside the writers: what Patroni, Redis and the Sentinels say, and when.

It shares the writers' clock and nothing else with them. `judgement` is pure; the rest asks and tells.

May import: hms.
"""
