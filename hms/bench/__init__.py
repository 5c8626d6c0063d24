"""`hms bench app`: the service's figures, each beside its bound and beside what the machine does without the service.

The parts are real and are children of the one who measures: a Postgres primary and a streaming replica of it, Redis
nodes and their Sentinels, the service. The tests of the service start the same ones. Nothing is left running, and
nothing outside a temporary directory is used.

| part | what it is |
|---|---|
| `processes` | children that are watched by what they say, frozen, killed and always taken away |
| `servers`, `service` | Postgres, Redis with its Sentinels, and `python -m app`, each as a process |
| `run` | each measurement after the other; their modules say what they measure |

May import: app, for what has a figure by itself and no route.
"""
