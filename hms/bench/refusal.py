"""How soon a request is refused while as many run as may, and how soon one is served when they have ended."""

import asyncio
import time
from http import HTTPStatus
from urllib.parse import urlsplit

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
    with place.postgres.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE bookmarks IN ACCESS EXCLUSIVE MODE")
        running = [asyncio.create_task(_put(service.url, number)) for number in range(_SLOTS)]
        await asyncio.to_thread(eventually, lambda: service.metric("hms_app_requests_active") > _SLOTS)
        durations, statuses = await asyncio.to_thread(milliseconds, lambda _: _look_up(service), _REFUSALS)
    began = time.monotonic()
    await asyncio.to_thread(eventually, lambda: _look_up(service).status_code == HTTPStatus.OK)
    seconds = time.monotonic() - began
    written = set(await asyncio.gather(*running))
    if statuses != {HTTPStatus.SERVICE_UNAVAILABLE}:
        raise BenchError(f"a full service answered {sorted(statuses)}, not only with 503")
    if not written <= {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise BenchError(f"writes that had a slot were answered {sorted(written)}, not only with 200 and 201")
    return durations, seconds


async def _put(url: str, number: int) -> int:
    """Make a bookmark over a connection of its own; a client library's pool of a thousand costs more than the service.

    Returns the status.
    """
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"PUT /api/v1/users/full-{number}/bookmarks/A00 HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: 0\r\n\r\n"
    )
    try:
        writer.write(head.encode())
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


def _look_up(service: Service) -> httpx.Response:
    return service.get("/api/v1/codes/E11")
