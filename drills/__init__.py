"""Does the stack survive? One fault at a time, a ledger of every write, and the reckoning.

    catalogue.py   the drills by name            faults/    a file for each family of faults
    run.py         a run: lock, pod, trials      trial.py   steady state, fault, recovery, steady state, ledgers
    pod.py         the pod that writes           steadiness.py   when the stack is steady, and why it is not
    feed.py        what the pod says             routing.py      what the API server says of the primary's address
    clock.py       the way to the pod's clock    summary.py      a trial in a line for each writer
    writer/        in the pod: open loop, ledger, what every node has afterwards
    observer/      in the pod: what Patroni, Redis and the Sentinels say, and when

`faults/`, `trial.py` and their like run beside the user; `writer/` and `observer/` in the cluster, on one clock, from
the image `loadgen`. What passes between them is `wire.py`. Nothing here judges: the evidence does, by `hms judge`.

A further drill is a class in `faults/` (the protocol is `faults/fault.py`) and a line in `catalogue.py`.

May import: hms.
"""
