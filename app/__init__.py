"""The terminology service: what the stack deploys. It starts alone against any Postgres and Redis.

`python -m app` serves; `python -m app.load` makes the tables and loads the release. Both read their settings from the
environment (`app.settings` names each variable).

| part | what it is |
|---|---|
| `settings`, `errors`, `logs`, `metrics` | what a process needs before it does anything |
| `codes`, `deadline` | pure: how a code is written, how long a request still has |
| `db` | the members of the database, the way of a read and of a write to them, schema, release, search, bookmarks |
| `services` | the cache, which the service never needs for an answer |
| `middleware` | what stands before every route: observation, limits, the deadline |
| `api` | the routes |
| `server` | the parts put together, from the first request to the last |

May import: nothing of ours.
"""
