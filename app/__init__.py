"""The terminology service: what the stack deploys. It starts alone against any Postgres and Redis.

`python -m app` serves; `python -m app.load` makes the tables and loads the release; `python -m app.keys` makes and
revokes API keys. All read their settings from the environment (`app.settings` names each variable).

| part | what it is |
|---|---|
| `environment`, `settings`, `errors`, `logs`, `metrics`, `names` | what a process needs before it does anything |
| `codes`, `deadline`, `limits`, `api_keys` | pure: how a code is written, how long a request has, how often a client \
may ask, what a key is |
| `db` | the members of the database, the way of a read and of a write to them, schema, release, search, bookmarks |
| `services` | the cache, which the service never needs for an answer |
| `middleware` | what stands before every route: observation, limits, the deadline |
| `api` | the routes |
| `connections` | HTTP on one connection, with bounds on the head of a request |
| `server` | the parts put together, from the first request to the last |

May import: nothing of ours.
"""
