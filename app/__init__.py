"""The terminology service: what the stack deploys. It starts alone against any Postgres and Redis: `python -m app`.

May import: nothing of ours.
"""
