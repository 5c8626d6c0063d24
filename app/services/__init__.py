"""What the service can do without: Redis, and what is kept there.

| part | what it is |
|---|---|
| `breaker` | pure: whether a dependency is asked |
| `redis_node`, `sentinels`, `redis_cluster` | the nodes, who knows of them, and the way of each call to one of them |
| `tags`, `freshness` | pure: what an answer depends on, and how long it is kept |
| `scripts` | what Redis does in one step |
| `single_flight`, `cache`, `invalidation` | answers: computed once, kept, taken back |
| `memory`, `collector` | the nodes' memory, and what Prometheus is told |

May import: nothing of ours but `app`.
"""
