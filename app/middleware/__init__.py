"""What stands before every route, from the outside in.

| part | what it does | refuses with |
|---|---|---|
| `drain` | tells clients to leave while the service stops | |
| `observe` | gives the request an identity, measures and logs it | |
| `security_headers` | tells browsers what not to do with the answer | |
| `bounds` | reads the body, of bounded size and in bounded time | 408, 411, 413, 414 |
| `concurrency` | gives the request a slot | 503 |
| `timeouts` | ends it at its deadline, or when its client has left | 504 |
| `authenticate` | finds out who asks | 401, behind the limits |
| `wrong_keys` | counts the keys of an address that open nothing | 429 |
| `rate_limiter` | counts it against its client's limits | 429 |

What is cheap and needs nobody else comes first: a flood is turned away before it costs a call to Redis or Postgres.

May import: nothing of ours but `app`.
"""
