"""A failover in its phases, from what independent sources saw and from the ledgers. Pure.

    proved         another witness than the one that broke it saw that the fault had happened
    detected       Postgres: the leader's key in the API server was given up; Redis: a Sentinel suspected the primary
    promoted       a replica says of itself that it is the primary
    routed         Postgres: the primary's Service leads to an address again; Redis: a Sentinel published the new one
    acknowledged   the write gap of the engine's own writer ended
    steady         all members back, replicas level, every write of the writers acknowledged from here on

Invariants: a phase whose event nobody saw is not there; nothing is guessed or put at zero. Each is in seconds after the
fault, and an event from before the fault is never one. Sources are asked again and again (the drills' observer, who
leads every 0.2 s, and all of them as soon as something is not steady) or tell of themselves: a phase is seen late by
that much, never early. So the order of two phases that are closer than that tells nothing.
"""

import re
from collections.abc import Mapping, Sequence
from math import inf

import msgspec

from hms.evidence import Event, Trial
from hms.ledger import Write, write_gap

Engine = str
NAMES = ("proved", "detected", "promoted", "routed", "acknowledged", "steady")

PROVED = "proved: "
STEADY = "steady from here on"
UNDOING = "undone from here on"
"""How the drill's own events of these begin."""

_SECOND_NS = 1e9

# By engine and phase: the source, and how its event begins. The words are the drills' observer's and watch's.
_SEEN: dict[Engine, dict[str, tuple[tuple[str, re.Pattern[str]], ...]]] = {
    "postgres": {
        "detected": (
            ("endpoints", re.compile(r"leader's key: \S+ -> ")),
            ("patroni", re.compile(r"\S+: role (primary|master) -> ")),
        ),
        "promoted": (("patroni", re.compile(r"\S+: role \S+ -> (primary|master)\b")),),
        "routed": (("endpoints", re.compile(r"routed: \S+( \S+)* -> (?!nowhere)")),),
    },
    "redis": {
        "detected": (("sentinel", re.compile(r"\S+: \+(sdown master|try-failover) ")),),
        "promoted": (("redis", re.compile(r"\S+: role \S+ -> master\b")),),
        "routed": (("sentinel", re.compile(r"\S+: \+switch-master ")),),
    },
}
ENGINES = tuple(_SEEN)


def promotions(trial: Trial, engine: Engine, *, while_broken: bool = False) -> int:
    """Return how often, after the fault, a member of an engine was seen to have become the primary.

    One that is made a replica and then the primary again, as by a lease that was lost and won back, counts as well.
    With `while_broken` none that was seen after the drill began to undo the fault; where it never said so, all count.
    What happens just before that may be seen after it: a fault of such a claim lasts longer than a look at the nodes.
    """
    wanted = _SEEN[engine]["promoted"]
    undone = [event.at_ns for event in trial.events if _is_told(event, UNDOING)] if while_broken else []
    later = (event for event in trial.events if trial.fault.at_ns < event.at_ns < min(undone, default=inf))
    return sum(
        any(event.source == source and pattern.match(event.what) for source, pattern in wanted) for event in later
    )


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of a failover: its name, and how many seconds after the fault it was reached."""

    name: str
    seconds: float


def phases(trial: Trial, ledgers: Mapping[str, Sequence[Write]]) -> dict[Engine, tuple[Phase, ...]]:
    """Return the phases of each engine that failed over in a trial, in order of time.

    `ledgers` are by writer. An engine has failed over if a new primary was seen; without that it has no phases: a
    suspicion that came to nothing is none. A trial that is no drill's (`not_applicable`, no steady state before) has no
    failover.
    """
    if trial.not_applicable or not trial.steady_before.ok:
        return {}
    found: dict[Engine, tuple[Phase, ...]] = {}
    for engine in ENGINES:
        moments = _moments(trial, engine)
        if "promoted" not in moments:
            continue
        ended_ns = _acknowledged(trial, ledgers.get(engine, ()))
        if ended_ns is not None:
            moments["acknowledged"] = ended_ns
        in_time = sorted(moments.items(), key=lambda item: (item[1], NAMES.index(item[0])))
        found[engine] = tuple(
            Phase(name=name, seconds=(at_ns - trial.fault.at_ns) / _SECOND_NS) for name, at_ns in in_time
        )
    return found


def _moments(trial: Trial, engine: Engine) -> dict[str, int]:
    later = sorted((event for event in trial.events if event.at_ns > trial.fault.at_ns), key=lambda event: event.at_ns)
    moments: dict[str, int] = {}
    for name, wanted in _SEEN[engine].items():
        for event in later:
            if any(event.source == source and pattern.match(event.what) for source, pattern in wanted):
                moments[name] = event.at_ns
                break
    for name, words in (("proved", PROVED), ("steady", STEADY)):
        told = [event for event in later if _is_told(event, words)]
        if told:
            moments[name] = told[-1].at_ns
    return moments


def _is_told(event: Event, words: str) -> bool:
    return event.source == "drill" and event.what.startswith(words)


def _acknowledged(trial: Trial, writes: Sequence[Write]) -> int | None:
    """Return when the write gap ended; None where it had not, or where there is no ledger."""
    if not writes:
        return None
    gap = write_gap(writes, fault_ns=trial.fault.at_ns - trial.fault.clock_uncertainty_ns)
    return gap.end_ns if gap.ended else None
