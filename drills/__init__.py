"""Does the stack survive? One fault at a time or two, a ledger of every write, and the reckoning.

    catalogue.py   the drills by name            faults/    what can be broken, and how; the drills as data over it
    chance.py      a schedule from a seed        machines.py     the machines of a test cluster, where there is one
    debts.py       what must be put right, on disk before it is broken; paid even if the drill was killed
    storm.py       in the pod: more sessions than Postgres allows
    run.py         a run: lock, pod, trials      trial.py   steady state, fault, recovery, steady state, ledgers
    pod.py         the pod that writes           steadiness.py   when the stack is steady, and why it is not
    logs.py        what the stack's containers logged meanwhile
    feed.py        what the pod says             routing.py      what the API server says of the primary's address
    clock.py       the way to the pod's clock    summary.py      a trial in a line for each writer
    openloop.py    in the pod: what is due is sent when it is due         records.py   what was, a line each
    writer/        in the pod: ledger, what every node has afterwards
    reader/        in the pod, beside the writers: what was read, what failed, how stale it was
    control.py     writes that are lost on purpose, beside the stack: is it noticed?
    observer/      in the pod: what Patroni, Redis and the Sentinels say, and when

`faults/`, `trial.py` and their like run beside the user; `writer/` and `observer/` in the cluster, on one clock, from
the image `loadgen`. What passes between them is `wire.py`. Nothing here judges: the evidence does, by `hms judge`.

A further drill is an entry in `faults/families/`, over a class in `faults/` (the protocol is `faults/fault.py`).

May import: hms.
"""
