"""How long searches take that come at a fixed rate, whether or not those before them are answered: an open loop."""

import asyncio
import time
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import httpx

from hms.bench.cores import started_on
from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import eventually
from hms.bench.queries import sample
from hms.bench.redis_group import RedisGroup
from hms.bench.service import Service
from hms.errors import BenchError
from hms.statistics import distribution, statistic_of

PER_SECOND = 100
SECONDS = 20
_QUERIES = 1000
_SEED = 19_001
_NO_CLIENT_REACHES = "1000000,60000000,100000"


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Search with all that a deployed service does, and beside it with nothing: no cache, no limits, no search log."""
    paths = [f"/api/v1/search?q={quote(query)}" for query in sample(place.postgres, _QUERIES, seed=_SEED)]
    with started_on(place.other_core):
        group = RedisGroup(replicas=1)
    limits = {"HMS_RATE_LIMITS": "on", "HMS_RATE_LIMIT_ANONYMOUS": _NO_CLIENT_REACHES}
    try:
        with place.service(HMS_SEARCH_LOG="off") as bare:
            plain, plain_cpu_us = _searched(bare, paths)
        with place.service(**group.environment, **limits) as whole:
            eventually(lambda: whole.metric("hms_app_cache_up") == 1)
            times, cpu_us = _searched(whole, paths)
    finally:
        group.remove()
    say(f"{len(times)} searches, {cpu_us:.0f} us of a core each, {plain_cpu_us:.0f} us without cache, limits and log")
    how = (
        f"{PER_SECOND} searches a second for {SECONDS} s, {_QUERIES} queries made from titles in turn, from the moment "
        "at which each should have been sent; with cache, limits and search log, the service on a core of its own"
    )
    without = "by a service without cache, limits and search log"
    return (
        figure_of(
            times,
            name="search-as-they-come",
            statistic="p99",
            unit="ms",
            how=how,
            raw=Raw(value=statistic_of(distribution(plain), "p99"), what=f"the same {without}"),
        ),
        figure_of(
            [cpu_us],
            name="search-processor-time",
            statistic="median",
            unit="us",
            how=f"{how}: the processor time of the service for each",
            raw=Raw(value=plain_cpu_us, what=f"the same {without}"),
        ),
    )


def _searched(service: Service, paths: list[str]) -> tuple[list[float], float]:
    """Return what each search took, in ms, and the service's processor time for each, in us."""
    for path in paths[:100]:
        service.client.get(path).raise_for_status()  # warms both sides
    before = _processor_seconds(service)
    times = asyncio.run(_arriving(service.url, paths))
    return times, (_processor_seconds(service) - before) / len(times) * 1e6


async def _arriving(url: str, paths: list[str]) -> list[float]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        began = time.monotonic()
        ask = partial(_ask, client)
        asked = []
        for number in range(PER_SECOND * SECONDS):
            due = began + number / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked.append(asyncio.create_task(ask(paths[number % len(paths)], due)))
        return list(await asyncio.gather(*asked))


async def _ask(client: httpx.AsyncClient, path: str, due: float) -> float:
    answer = await client.get(path)
    if answer.status_code != HTTPStatus.OK:
        raise BenchError(f"a search was answered {answer.status_code}, not 200")
    return (time.monotonic() - due) * 1000


def _processor_seconds(service: Service) -> float:
    return int(Path(f"/proc/{service.process.pid}/schedstat").read_text().split()[0]) / 1e9
