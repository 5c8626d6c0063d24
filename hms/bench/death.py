"""What a client pays when Redis dies or hangs."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus

import httpx

from hms.bench.cores import started_on
from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import eventually
from hms.bench.servers import Redis
from hms.bench.service import Service
from hms.bench.timing import milliseconds
from hms.errors import BenchError
from hms.statistics import distribution, statistic_of

DEAD_REDIS_BOUND_MS = 5.0

_REQUESTS = 500
_LOOK_UP = "/api/v1/codes/E11.9"


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
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
