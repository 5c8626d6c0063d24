"""What it costs a request that its client's limits are counted in Redis."""

import statistics
from contextlib import ExitStack
from functools import partial

import httpx

from hms.bench import wrk
from hms.bench.cores import started_on
from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import eventually
from hms.bench.redis_group import RedisGroup
from hms.bench.service import Service
from hms.bench.timing import milliseconds

ROUNDS = 5
SECONDS = 3
_CONNECTIONS = 32
_REQUESTS = 500
_LOOK_UP = "/api/v1/codes/E11.9"
_NO_CLIENT_REACHES = "1000000,60000000,100000"


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Compare look-ups from the cache, with limits and without, in rounds, so that both meet the same machine."""
    with started_on(place.other_core):
        group = RedisGroup(replicas=1)
    on = {"HMS_RATE_LIMITS": "on", "HMS_RATE_LIMIT_ANONYMOUS": _NO_CLIENT_REACHES}
    latencies: dict[str, list[float]] = {"with": [], "without": []}
    rates: dict[str, list[float]] = {"with": [], "without": []}
    try:
        with ExitStack() as stack:
            services = {
                "with": stack.enter_context(place.service(**group.environment, **on)),
                "without": stack.enter_context(place.service(**group.environment)),
            }
            for service in services.values():
                eventually(partial(_has_cache, service))
                milliseconds(partial(_look_up, service), _REQUESTS)  # warms both sides
            for _ in range(ROUNDS):
                for name, service in services.items():
                    latencies[name] += milliseconds(partial(_look_up, service), _REQUESTS)[0]
                    with started_on(place.other_core):
                        load = wrk.run(service.url, [_LOOK_UP], connections=_CONNECTIONS, seconds=SECONDS)
                    rates[name].append(load.per_second)
    finally:
        group.remove()
    plain_ms, plain_rate = statistics.median(latencies["without"]), statistics.median(rates["without"])
    say(f"look-ups a second: {statistics.median(rates['with']):,.0f} with limits, {plain_rate:,.0f} without")
    return (
        figure_of(
            latencies["with"],
            name="look-up-with-limits",
            statistic="median",
            unit="ms",
            how=f"{ROUNDS} times {_REQUESTS} look-ups from the cache, one after the other, each counted in Redis",
            raw=Raw(value=plain_ms, what="the same of a service without limits"),
        ),
        figure_of(
            rates["with"],
            name="look-up-rate-with-limits",
            statistic="median",
            unit="1/s",
            how=f"{ROUNDS} rounds of {SECONDS} s, {_CONNECTIONS} connections of one client, look-ups from the cache",
            raw=Raw(value=plain_rate, what="the same of a service without limits"),
        ),
    )


def _look_up(service: Service, number: int) -> httpx.Response:
    del number
    return service.get(_LOOK_UP)


def _has_cache(service: Service) -> bool:
    return service.metric("hms_app_cache_up") == 1
