"""States of a small stack, as its observer and its writers would tell them."""

from drills.wire import PostgresState, RedisState, Started, State, WriterName, WriterStatus

SECOND_NS = 1_000_000_000


def postgres_state(*, steady: bool = True, primary: str = "postgres-0", **fields: object) -> PostgresState:
    given: dict[str, object] = {
        "detail": "" if steady else "no member leads",
        "replicas": ("postgres-1",),
        "synchronous": ("postgres-1",),
        "timeline": 1,
        "started": {"postgres-0": "t0", "postgres-1": "t1"},
    }
    return PostgresState(steady=steady, primary=primary, **(given | fields))  # type: ignore[arg-type]  # plain fields


def redis_state(*, steady: bool = True, primary: str = "redis-0", run: str = "r0") -> RedisState:
    detail = "" if steady else "no node is master"
    run_ids = {"redis-0": run, "redis-1": "r1"}
    return RedisState(steady=steady, detail=detail, primary=primary, replicas=("redis-1",), run_ids=run_ids)


def state(at_seconds: float, *, postgres: PostgresState | None = None, redis: RedisState | None = None) -> State:
    return State(
        at_ns=round(at_seconds * SECOND_NS), postgres=postgres or postgres_state(), redis=redis or redis_state()
    )


def started(at_seconds: float, trial: str = "t-1") -> Started:
    return Started(trial=trial, boot_id="b", at_ns=round(at_seconds * SECOND_NS), resumed=False)


def status(
    at_seconds: float,
    writer: WriterName = "postgres",
    *,
    trial: str = "t-1",
    acknowledged_at: float | None = None,
    failed_at: float = 0.0,
) -> WriterStatus:
    last = at_seconds if acknowledged_at is None else acknowledged_at
    return WriterStatus(
        trial=trial,
        writer=writer,
        at_ns=round(at_seconds * SECOND_NS),
        acknowledged=1,
        refused=0,
        unknown=0,
        not_sent=0,
        last_acknowledged_sent_ns=round(last * SECOND_NS),
        last_failed_ns=round(failed_at * SECOND_NS),
    )
