"""The Pulumi program: a `StackSpec` in, an `Inventory` out; one component a file.

| file | what it makes |
|---|---|
| `namespace.py` | the namespace: Pod Security "restricted", quota, limits |
| `network.py` | the NetworkPolicies, from the one list in `flows.py` |
| `credentials.py` | the Secrets |
| `postgres.py` | Postgres under Patroni, told what `patroni_config.py` says |
| `marked_instance.py` | the API server's rule for what a witness may write of a pod's status |
| `held_record.py` | the API server's rule that keeps a record which a witness holds |
| `own_pod.py` | its rules that keep a pod deleted by force from acting for the next of its name |
| `redis.py` | the Redis nodes and Sentinels, told what `redis_config.py` says |
| `data.py` | the Job that migrates and loads |
| `app.py` | the service |
| `inventory.py` | what came out, for checks, loads and drills |

`site.py`, `pod.py` and `admission.py` hold what several of them share, `names.py` the names, `rollout.py` the wait for
a StatefulSet. `program.py` puts them in order.

May import: hms.
"""
