"""How soon a request is refused while as many run as may, and how soon one is served when they have ended."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus

import httpx

from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import eventually
from hms.bench.service import Service
from hms.bench.timing import milliseconds
from hms.errors import BenchError
from hms.statistics import distribution, statistic_of

BOUND_MS = 10.0
AGAIN_BOUND_SECONDS = 1.0
_SLOTS = 1000
"""The service's default."""

_REFUSALS = 500
_TRIALS = 3


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Hold all slots by a lock in the database, and ask; then let go of it, and ask until there is an answer."""
    refused: list[float] = []
    again: list[float] = []
    with place.service() as service:
        live, _ = milliseconds(lambda _: service.get("/api/v1/health/live"), _REFUSALS)
        for _ in range(_TRIALS):
            durations, seconds = asyncio.run(_filled(place, service))
            refused += durations
            again.append(seconds)
    say(f"{len(refused)} requests refused by a full service, served again after {max(again):.3f} s at most")
    how = f"{_TRIALS} times {_SLOTS} writes wait for a lock in the database"
    return (
        figure_of(
            refused,
            name="refusal-when-full",
            statistic="p99",
            unit="ms",
            promised=("<", BOUND_MS),
            how=f"{how}, all slots that there are; {_REFUSALS} more requests, one after the other, wait in the queue "
            "for the moment that it allows and are refused with 503",
            raw=Raw(
                value=statistic_of(distribution(live), "p99"),
                what="p99 of the health check of the idle service, asked by the same client",
            ),
        ),
        figure_of(
            again,
            name="served-when-full-no-more",
            statistic="max",
            unit="s",
            promised=("<", AGAIN_BOUND_SECONDS),
            how=f"{how}; from the end of the lock to the first look-up that is answered, asked again whenever it is "
            "refused",
        ),
    )


async def _filled(place: Place, service: Service) -> tuple[list[float], float]:
    """Return what each refusal took in ms, and the seconds until a look-up was answered. Raises `BenchError`."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=service.url, timeout=60, limits=limits) as client:
        with place.postgres.connect() as connection, connection.transaction():
            connection.execute("LOCK TABLE bookmarks IN ACCESS EXCLUSIVE MODE")
            running = [
                asyncio.create_task(client.put(f"/api/v1/users/full-{number}/bookmarks/A00"))
                for number in range(_SLOTS)
            ]
            await asyncio.to_thread(eventually, lambda: service.metric("hms_app_requests_active") > _SLOTS)
            durations, statuses = await asyncio.to_thread(milliseconds, lambda _: _look_up(service), _REFUSALS)
        began = time.monotonic()
        await asyncio.to_thread(eventually, lambda: _look_up(service).status_code == HTTPStatus.OK)
        seconds = time.monotonic() - began
        with suppress(httpx.HTTPError):
            await asyncio.gather(*running)
    if statuses != {HTTPStatus.SERVICE_UNAVAILABLE}:
        raise BenchError(f"a full service answered {sorted(statuses)}, not only with 503")
    return durations, seconds


def _look_up(service: Service) -> httpx.Response:
    return service.get("/api/v1/codes/E11")
