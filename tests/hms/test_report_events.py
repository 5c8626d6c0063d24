"""A failover's events on the report: what matters, each once."""

import msgspec

from hms.evidence import Event
from hms.report.events import MOST_SHOWN, ShownEvent, left_out, shown_events
from hms.report.model import TrialView
from hms.report.plots import _clusters
from hms.report.svg import Scale
from tests.hms.evidence_samples import FAULT_NS, MS, TrialPlan, trial


def view(drill: str, *events: tuple[int, str, str]) -> TrialView:
    told = tuple(Event(at_ns=FAULT_NS + ms * MS, source=source, what=what) for ms, source, what in events)
    record = msgspec.structs.replace(trial(TrialPlan(drill=drill)), events=told)
    return TrialView(run=f"drills/{drill}/1", trial=record, writers=(), damage=())


REDIS = view(
    "redis-kill-primary",
    (-5, "redis", "redis-1: has 2 replicas"),
    (0, "drill", "SIGKILL: redis-0"),
    (552, "sentinel", "sentinel-0: +sdown master hms 10.0.0.1 6379"),
    (577, "sentinel", "sentinel-1: +sdown master hms 10.0.0.1 6379"),
    (755, "sentinel", "sentinel-1: +odown master hms 10.0.0.1 6379 #quorum 2/2"),
    (756, "sentinel", "sentinel-0: +odown master hms 10.0.0.1 6379 #quorum 3/2"),
    (756, "sentinel", "sentinel-0: +new-epoch 12"),
    (912, "redis", "redis-2: role replica -> master"),
    (1728, "sentinel", "sentinel-1: +switch-master hms 10.0.0.1 6379 10.0.0.2 6379"),
    (3000, "sentinel", "sentinel-0: +sdown master hms 10.0.0.1 6379"),
)


def test_what_several_sentinels_say_is_said_once_and_bookkeeping_is_left_out() -> None:
    assert shown_events(REDIS) == [
        ShownEvent(0.552, "sentinel", "sentinel-0, sentinel-1: +sdown master hms 10.0.0.1 6379"),
        ShownEvent(0.755, "sentinel", "sentinel-1, sentinel-0: +odown master hms 10.0.0.1 6379"),
        ShownEvent(0.912, "redis", "redis-2: role replica -> master"),
        ShownEvent(1.728, "sentinel", "sentinel-1: +switch-master hms 10.0.0.1 6379 10.0.0.2 6379"),
        ShownEvent(3.0, "sentinel", "sentinel-0: +sdown master hms 10.0.0.1 6379"),
    ]
    assert left_out(REDIS) == 3


def test_another_familys_trial_keeps_its_events() -> None:
    seen = view("app-delete-one", (10, "kubernetes", "pod gone"))
    assert [event.what for event in shown_events(seen)] == ["pod gone"]


def test_a_flood_of_events_is_cut_and_counted() -> None:
    flood = view("app-delete-one", *((n, "kubernetes", f"event {n}") for n in range(1, MOST_SHOWN + 11)))
    assert len(shown_events(flood)) == MOST_SHOWN
    assert left_out(flood) == 10


def test_events_that_are_close_share_a_marker_and_no_marker_covers_another() -> None:
    events = [ShownEvent(s, "x", "y") for s in (0.1, 0.101, 0.102, 0.3, 0.35, 2.0, 99.0)]
    clusters = _clusters(events, Scale(0, 5, 0, 1000))
    assert [label for _, _, label in clusters] == ["1–3", "4–5", "6"]
    assert [label for _, _, label in _clusters(events, Scale(0, 5, 0, 300))] == ["1–3", "4–5", "6"]
    crowded = [ShownEvent(n / 10, "x", "y") for n in range(20)]
    placed = _clusters(crowded, Scale(0, 5, 0, 700))
    for index, (x, level, label) in enumerate(placed):
        for other_x, other_level, other in placed[:index]:
            assert level != other_level or x - other_x >= 2 * (len(label) + len(other))
