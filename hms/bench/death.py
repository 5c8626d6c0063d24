"""What a client pays when a dependency dies or hangs, and how long the service takes to notice."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus

import httpx

from hms.bench.cores import started_on
from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import eventually
from hms.bench.servers import Postgres, Redis
from hms.bench.service import Service
from hms.bench.timing import milliseconds
from hms.errors import BenchError
from hms.statistics import distribution, statistic_of

DEAD_REDIS_BOUND_MS = 5.0
NOTICED_BOUND_SECONDS = 1.0

_REQUESTS = 500
_TRIALS = 5
_LOOK_UP = "/api/v1/codes/E11.9"


def redis_dead(place: Place, say: Say) -> tuple[Figure, ...]:
    """Compare look-ups from the moment at which Redis is gone with those of a service that never had one."""
    with place.service() as without:
        milliseconds(partial(_look_up, without), _REQUESTS)  # warms both sides
        plain, _ = milliseconds(partial(_look_up, without), _REQUESTS)
    usual = statistic_of(distribution(plain), "median")
    figures = []
    for fault, begin in (("killed", Redis.kill), ("frozen", Redis.freeze)):
        with _redis(place) as redis, place.service(**redis.environment) as service:
            eventually(partial(_has_cache, service))
            milliseconds(partial(_look_up, service), _REQUESTS)
            begin(redis)
            durations, statuses = milliseconds(partial(_look_up, service), _REQUESTS)
        if statuses != {HTTPStatus.OK}:
            raise BenchError(f"with Redis {fault} the service answered {sorted(statuses)}, not only with 200")
        say(f"{len(durations)} look-ups after Redis was {fault}")
        figures.append(
            figure_of(
                [duration - usual for duration in durations],
                name=f"redis-{fault}-cost",
                statistic="p99",
                unit="ms",
                promised=("<", DEAD_REDIS_BOUND_MS),
                how=f"the {_REQUESTS} look-ups that follow the fault, less the median of a service without Redis",
                raw=Raw(value=usual, what="median of a look-up of a service without Redis"),
            )
        )
    return tuple(figures)


def member_failure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Measure how soon a replica is out of use that is killed, and one that hangs."""
    with started_on(place.other_core):
        replica = Postgres(replica_of=place.postgres)
    try:
        hosts = f"{place.postgres.address},{replica.address}"
        with place.service(HMS_POSTGRES_HOSTS=hosts) as service:
            killed = [_noticed(service, replica, Postgres.kill, Postgres.start) for _ in range(_TRIALS)]
            frozen = [_noticed(service, replica, Postgres.freeze, Postgres.thaw) for _ in range(_TRIALS)]
    finally:
        replica.remove()
    say(f"{2 * _TRIALS} failures of a replica noticed")
    return tuple(
        figure_of(
            seconds,
            name=f"member-{fault}-noticed",
            statistic="max",
            unit="s",
            promised=("<", NOTICED_BOUND_SECONDS),
            how=f"{_TRIALS} times a replica is {fault}, with no request on its way; until the service says it is down",
        )
        for fault, seconds in (("killed", killed), ("frozen", frozen))
    )


def _noticed(
    service: Service, replica: Postgres, begin: Callable[[Postgres], None], end: Callable[[Postgres], None]
) -> float:
    """Return the seconds from a fault of the replica until the service says that it is down; ends the fault."""
    seen = f'hms_app_postgres_member{{member="{replica.address}",role="replica"}}'
    eventually(lambda: service.metric(seen) == 1)
    said = len(service.process.lines)
    began = time.monotonic()
    begin(replica)
    service.process.wait_for(f'"{replica.address}".*"role":"down"', after=said)
    noticed = time.monotonic() - began
    end(replica)
    return noticed


def _look_up(service: Service, number: int) -> httpx.Response:
    del number
    return service.get(_LOOK_UP)


def _has_cache(service: Service) -> bool:
    return service.metric("hms_app_cache_up") == 1


@contextmanager
def _redis(place: Place) -> Iterator[Redis]:
    with started_on(place.other_core):
        redis = Redis()
    try:
        yield redis
    finally:
        redis.remove()
