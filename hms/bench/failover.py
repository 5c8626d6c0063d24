"""What a client pays while Redis gets another primary, and how long the service does without one.

How soon the Sentinels agree on one is theirs: it is told without a bound. In the stack the parent of the dead server
is sooner (`redis-start`), and the drill `redis-kill-primary` holds that to a bound.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from hms.bench.cores import started_on
from hms.bench.figure import Figure, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import eventually
from hms.bench.redis_group import RedisGroup
from hms.bench.service import Service
from hms.errors import BenchError

NOTICED_BOUND_MS = 250.0

_TRIALS = 3
_POLL_SECONDS = 0.005
_LOOK_UP = "/api/v1/codes/E11.9"


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Kill the primary again and again while a client asks, until the service uses the next one."""
    with started_on(place.other_core):
        group = RedisGroup(replicas=2)
    try:
        with place.service(**group.environment) as service, _asking(service) as durations:
            trials = [_killed(service, group, say) for _ in range(_TRIALS)]
    finally:
        group.remove()
    how = f"{_TRIALS} times the primary of three Redis nodes is killed, with three Sentinels, while one client asks"
    return (
        figure_of(
            [gap for gap, _ in trials],
            name="redis-failover",
            statistic="max",
            unit="s",
            how=f"{how}; until the service has the next",
        ),
        figure_of(
            [noticed for _, noticed in trials],
            name="redis-primary-noticed",
            statistic="max",
            unit="ms",
            promised=("<", NOTICED_BOUND_MS),
            how=f"{how}; from when a node says that it is the primary now until the service has it",
        ),
        figure_of(durations, name="look-up-in-redis-failover", statistic="p99.9", unit="ms", how=how),
    )


def _killed(service: Service, group: RedisGroup, say: Say) -> tuple[float, float]:
    """Return the seconds without a primary, and the ms of it in which there was one unknown; mends the group."""
    eventually(lambda: service.metric("hms_app_cache_up") == 1)
    said = len(service.process.lines)
    victim = group.primary()
    began = time.monotonic()
    group.kill(victim)
    claimed: list[float] = []
    looking = threading.Thread(target=_note_claim, args=(group, victim, claimed), daemon=True)
    looking.start()
    service.process.wait_for("redis has a primary", after=said)
    ended = time.monotonic()
    looking.join()
    seconds, noticed_ms = ended - began, max(0.0, ended - claimed[0]) * 1000
    say(f"Redis has another primary after {seconds:.2f} s, and the service has it {noticed_ms:.0f} ms later")
    group.restart(victim)
    eventually(group.is_whole)
    return seconds, noticed_ms


def _note_claim(group: RedisGroup, victim: int, claimed: list[float]) -> None:
    """Append the moment at which one of the other nodes first said that it was the primary."""
    others = [number for number in range(len(group.ports)) if number != victim]
    # Over a new connection each time: a Sentinel ends those that there are when it has a node change its role.
    while all(group.role(number) != "master" for number in others):
        time.sleep(_POLL_SECONDS)
    claimed.append(time.monotonic())


@contextmanager
def _asking(service: Service) -> Iterator[list[float]]:
    """Look a code up again and again until the block ends; yield how long each takes, in ms. Raises `BenchError`."""
    durations: list[float] = []
    statuses: set[int] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            began = time.monotonic()
            statuses.add(service.get(_LOOK_UP).status_code)
            durations.append((time.monotonic() - began) * 1000)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield durations
    finally:
        stop.set()
        asking.join()
    if statuses != {HTTPStatus.OK}:
        raise BenchError(f"while Redis got another primary the service answered {sorted(statuses)}, not only with 200")
