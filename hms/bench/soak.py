"""What the service keeps of its clients is bounded: many thousands, each with a made-up key and its own address."""

from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from secrets import token_bytes

import httpx

from hms.bench.figure import Figure, figure_of
from hms.bench.place import Place, Say
from hms.errors import BenchError

BOUND_MIB = 16.0
_THREADS = 4
_FILLING = 22_000
"""Clients after which everything that is kept has reached its bound: 20,000 addresses, twice, and 10,000 keys."""

_AFTERWARDS = 10_000
_FIRST_ADDRESS = int(ip_address("10.0.0.1"))


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Ask without a Redis, so that the instance keeps all counts by itself, and compare its memory."""
    with place.service(HMS_RATE_LIMITS="on", HMS_TRUSTED_PROXIES="1") as service:

        def ask(numbers: range) -> set[int]:
            with httpx.Client(base_url=service.url, timeout=60) as client:
                return {client.get("/api/v1/codes/E11", headers=_headers(n)).status_code for n in numbers}

        def soak(first: int, count: int) -> float:
            with ThreadPoolExecutor(_THREADS) as threads:
                parts = [range(first + part, first + count, _THREADS) for part in range(_THREADS)]
                statuses = set().union(*threads.map(ask, parts))
            if statuses != {401}:
                raise BenchError(f"clients with made-up keys were answered {sorted(statuses)}, not only with 401")
            return service.metric("process_resident_memory_bytes") / (1 << 20)

        full_mib = soak(0, _FILLING)
        say(f"{_FILLING} clients, {full_mib:.0f} MiB")
        grown_mib = soak(_FILLING, _AFTERWARDS) - full_mib
        kept = service.metric("hms_app_kept")
    say(f"{_AFTERWARDS} more, {grown_mib:+.1f} MiB, {kept:.0f} things kept")
    return (
        figure_of(
            [max(0.0, grown_mib)],
            name="memory-grown-in-a-soak",
            statistic="max",
            unit="MiB",
            promised=("<", BOUND_MIB),
            how=f"after {_FILLING} clients, each with an address and a made-up key of its own, {_AFTERWARDS} more; "
            "growth of the resident memory, without Redis, so that the instance keeps every count by itself",
        ),
        figure_of(
            [kept],
            name="kept-after-a-soak",
            statistic="max",
            unit="things",
            promised=("<=", 50_000.0),
            how="addresses, those of wrong keys once more, and keys that the instance still remembers then",
        ),
    )


def _headers(number: int) -> dict[str, str]:
    key = "hms_" + urlsafe_b64encode(token_bytes(32)).decode().rstrip("=")
    return {"x-forwarded-for": str(ip_address(_FIRST_ADDRESS + number)), "x-api-key": key}
