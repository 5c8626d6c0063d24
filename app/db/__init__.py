"""What the service knows of its database.

| modules | what they are |
|---|---|
| `connection`, `pool`, `member`, `reader`, `router`, `epoch`, `currency`, `wal`, `abandon` | the ways to the members |
| `partitioning`, `schema`, `indexing` | tables, and the indexes that serve requests |
| `release`, `history`, `words`, `statistics`, `generate`, `primary` | releases, from the package to the current one |
| `query`, `search`, `matching`, `corrections`, `cursor`, `lookup`, `export` | what requests ask of the codes |
| `bookmarks`, `api_keys` | what requests write |
| `search_log`, `months`, `log_partitions`, `maintenance` | searches written down, and who tends to them |

May import: nothing of ours but `app`.
"""
