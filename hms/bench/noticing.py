"""How long the service takes to notice what becomes of a member of the database, with no request on its way to it."""

import time
from collections.abc import Callable

from hms.bench.cores import started_on
from hms.bench.figure import Figure, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service

BOUND_SECONDS = 1.0
_TRIALS = 5

_DOWN, _REPLICA, _PRIMARY = "down", "replica", "primary"


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Have a replica die, hang, join, be promoted and be demoted, and wait each time until the service says so."""
    seconds: dict[str, list[float]] = {name: [] for name in _CHANGES}
    with started_on(place.other_core):
        replica = Postgres(replica_of=place.postgres)
    try:
        with place.service(HMS_POSTGRES_HOSTS=f"{place.postgres.address},{replica.address}") as service:
            watched = _Watched(service, replica)
            for _ in range(_TRIALS):
                for name, (change, seen) in _CHANGES.items():
                    seconds[name].append(watched.until(change, seen))
    finally:
        replica.remove()
    say(f"{_TRIALS * len(_CHANGES)} changes of a member noticed")
    return tuple(
        figure_of(
            values,
            name=f"member-{name}",
            statistic="max",
            unit="s",
            promised=("<", BOUND_SECONDS),
            how=f"{_TRIALS} times {_HOW[name]}, with no request on its way; until the service says that it is "
            f"{_CHANGES[name][1]}",
        )
        for name, values in seconds.items()
    )


_CHANGES: dict[str, tuple[Callable[[Postgres], None], str]] = {
    "killed": (Postgres.kill, _DOWN),
    "joins": (Postgres.start, _REPLICA),
    "hangs": (Postgres.freeze, _DOWN),
    "goes-on": (Postgres.thaw, _REPLICA),
    "promoted": (Postgres.promote, _PRIMARY),
    "demoted": (Postgres.demote, _REPLICA),
}
"""In an order in which each can follow the one before, and the first the last: what is done, and what it is seen as."""

_HOW = {
    "killed": "a replica is killed",
    "joins": "it is started, from when it takes connections",
    "hangs": "it is stopped where it is, its connections open",
    "goes-on": "it goes on",
    "promoted": "it is promoted, from when it is a primary",
    "demoted": "it is started as a replica, from when it takes connections",
}


class _Watched:
    """A member in the eyes of a service, which writes each change of its role into its log."""

    def __init__(self, service: Service, member: Postgres) -> None:
        self._service = service
        self._member = member
        eventually(lambda: service.metric(f'hms_app_postgres_member{{member="{member.address}",role="replica"}}') == 1)

    def until(self, change: Callable[[Postgres], None], seen: str) -> float:
        """Return the seconds from the end of `change`, or from its begin if it ends the member, until it is seen."""
        said = len(self._service.process.lines)
        began = time.monotonic()
        change(self._member)
        if seen != _DOWN:
            began = time.monotonic()
        self._service.process.wait_for(f'"{self._member.address}".*"role":"{seen}"', after=said)
        return max(0.0, time.monotonic() - began)
