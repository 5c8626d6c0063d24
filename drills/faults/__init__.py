"""The faults: what is done, how it is put right, how it is proved, what must stay true.

    fault.py      what every fault is            engine.py    Postgres and Redis as a fault sees them
    server.py     what can happen to a member of either: killed, deleted, frozen
    postgres.py, redis.py, app.py, node.py, cluster.py    what only these can suffer
    soak.py       nothing breaks, everything is busy
    together.py   two at a time                  families/    the drills, as data over all these
    signals.py, pods.py   the means

May import: hms.
"""
