"""A trial's events as a reader wants them: what matters, each once. Pure.

The sources and their words are those of the drills' observer; what it says in other words is shown as it is.
"""

import re
from dataclasses import dataclass

from hms.evidence import Event
from hms.report.model import TrialView

SECOND_NS = 1e9
MOST_SHOWN = 30

# What a Sentinel says beside these is bookkeeping of the same failover.
TELLING = (
    "+sdown", "-sdown", "+odown", "-odown", "+elected-leader", "+promoted-slave", "+switch-master", "+failover-end",
    "+reboot", "+tilt", "-tilt", "-failover-abort-not-elected", "does",
)  # fmt: skip
SAID = re.compile(r"(?P<who>[\w-]+): (?P<kind>\S+)(?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event `seconds` after the fault; several Sentinels that say the same are one."""

    seconds: float
    source: str
    what: str


def shown_events(view: TrialView) -> list[ShownEvent]:
    """Return a trial's events from the fault on, in order of time: the first `MOST_SHOWN` that tell something."""
    return _telling(view)[:MOST_SHOWN]


def left_out(view: TrialView) -> int:
    """Return how many events after the fault are in the evidence and not shown."""
    return len(_after_fault(view)) - len(shown_events(view))


def _after_fault(view: TrialView) -> list[Event]:
    """Return the events after the fault; what the drill tells of it is left out, for it is drawn apart."""
    if view.trial is None:
        return []
    fault_ns = view.trial.fault.at_ns
    later = (event for event in view.trial.events if event.at_ns >= fault_ns and event.source != "drill")
    return sorted(later, key=lambda event: (event.at_ns, event.source, event.what))


def _telling(view: TrialView) -> list[ShownEvent]:
    shown: list[ShownEvent] = []
    heard: dict[tuple[str, str], tuple[int, list[str]]] = {}
    for event in _after_fault(view):
        seconds = (event.at_ns - (view.trial.fault.at_ns if view.trial else 0)) / SECOND_NS
        said = SAID.fullmatch(event.what) if event.source == "sentinel" else None
        if said is None:
            shown.append(ShownEvent(seconds, event.source, event.what))
            continue
        who, kind, rest = said["who"], said["kind"], _without_quorum(said["rest"])
        if kind not in TELLING:
            continue
        index, speakers = heard.setdefault((kind, rest), (len(shown), []))
        # One that says it again says it anew: a second election, a second suspicion.
        if who in speakers:
            index, speakers = heard[kind, rest] = (len(shown), [])
        speakers.append(who)
        told = ShownEvent(seconds, "sentinel", f"{', '.join(speakers)}: {kind}{rest}")
        if index == len(shown):
            shown.append(told)
        else:
            shown[index] = ShownEvent(shown[index].seconds, "sentinel", told.what)
    return shown


def _without_quorum(rest: str) -> str:
    return re.sub(r" #quorum \d+/\d+", "", rest)
