"""How soon a request is refused while as many run as may, and how soon the next one is served when one has ended."""

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import httpx

from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import eventually
from hms.bench.timing import milliseconds
from hms.errors import BenchError
from hms.statistics import distribution, statistic_of

BOUND_MS = 10.0
_SLOTS = 32
_REFUSALS = 500


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Hold all slots by a lock in the database, and ask."""
    with place.service(HMS_MAX_CONCURRENCY=str(_SLOTS)) as service, ThreadPoolExecutor(_SLOTS) as threads:

        def put(number: int) -> int:
            with httpx.Client(base_url=service.url, timeout=60) as client:
                return client.put(f"/api/v1/users/full/bookmarks/A{number:02}").status_code

        live, _ = milliseconds(lambda _: service.get("/api/v1/health/live"), _REFUSALS)
        with place.postgres.connect() as connection, connection.transaction():
            connection.execute("LOCK TABLE bookmarks IN ACCESS EXCLUSIVE MODE")
            running = [threads.submit(put, number) for number in range(_SLOTS)]
            eventually(lambda: service.metric("hms_app_requests_active") > _SLOTS)
            durations, statuses = milliseconds(lambda _: service.get("/api/v1/codes/E11"), _REFUSALS)
        for each in running:
            each.result()
    if statuses != {HTTPStatus.SERVICE_UNAVAILABLE}:
        raise BenchError(f"a full service answered {sorted(statuses)}, not only with 503")
    say(f"{len(durations)} requests refused")
    return (
        figure_of(
            durations,
            name="refusal-when-full",
            statistic="p99",
            unit="ms",
            promised=("<", BOUND_MS),
            how=f"{_SLOTS} slots held by a lock in the database; {_REFUSALS} more requests, one after the other, wait "
            "in the queue for the moment that it allows and are refused with 503",
            raw=Raw(
                value=statistic_of(distribution(live), "p99"),
                what="p99 of the health check of the idle service, asked by the same client",
            ),
        ),
    )
