"""The phases of a failover: what was seen, and nothing that was not."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hms.evidence import Event, Steady
from hms.ledger import Write
from hms.phases import NAMES, PROVED, STEADY, UNDOING, phases, promotions
from tests.hms.evidence_samples import FAULT_NS, MS, TrialPlan, trial

POSTGRES = {
    "proved": ("drill", f"{PROVED}process 41 is gone", 20),
    "detected": ("endpoints", "leader's key: postgres-0 -> none", 60),
    "routed": ("endpoints", "routed: nowhere -> 10.1.2.3", 700),
    "promoted": ("patroni", "postgres-1: role replica -> primary", 800),
    "steady": ("drill", STEADY, 4000),
}
REDIS = {
    "proved": ("drill", f"{PROVED}process 7 is gone", 10),
    "detected": ("sentinel", "sentinel-0: +sdown master hms 10.0.0.1 6379", 500),
    "promoted": ("redis", "redis-1: role replica -> master", 900),
    "routed": ("sentinel", "sentinel-1: +switch-master hms 10.0.0.1 6379 10.0.0.2 6379", 1700),
    "steady": ("drill", STEADY, 3000),
}
NOISE = (
    ("endpoints", "routed: 10.1.2.9 -> nowhere", 61),
    ("patroni", "postgres-1: timeline 1 -> 2", 810),
    ("sentinel", "sentinel-0: +sdown slave 10.0.0.3:6379 10.0.0.3 6379 @ hms 10.0.0.1 6379", 5),
    ("redis", "redis-2: role master -> replica", 6),
)

Told = tuple[str, str, int]


def found(told: list[Told], engine: str, writes: tuple[Write, ...] = ()) -> dict[str, float]:
    events = tuple(Event(at_ns=FAULT_NS + at_ms * MS, source=source, what=what) for source, what, at_ms in told)
    one = msgspec.structs.replace(trial(TrialPlan()), events=events)
    return {phase.name: phase.seconds for phase in phases(one, {engine: writes}).get(engine, ())}


def acknowledged(seq: int, at_ms: int) -> Write:
    sent_ns = FAULT_NS + at_ms * MS
    return Write(
        seq=seq, key=str(seq), intended_ns=sent_ns, sent_ns=sent_ns, outcome="acknowledged", done_ns=sent_ns + MS
    )


@pytest.mark.parametrize(("engine", "told"), [("postgres", POSTGRES), ("redis", REDIS)])
def test_a_failover_has_all_phases(engine: str, told: dict[str, Told]) -> None:
    writes = (acknowledged(0, -10), acknowledged(1, 1200), acknowledged(2, 1210))
    seen = found([*NOISE, *told.values()], engine, writes)
    assert seen == {**{name: at_ms / 1000 for name, (_, _, at_ms) in told.items()}, "acknowledged": 1.201}
    assert list(seen.values()) == sorted(seen.values())


@given(st.sampled_from(("postgres", "redis")), st.sets(st.sampled_from(NAMES)), st.randoms())
def test_what_nobody_saw_has_no_figure(engine: str, missing: set[str], chance: object) -> None:
    told = POSTGRES if engine == "postgres" else REDIS
    left = {name: one for name, one in told.items() if name not in missing}
    shuffled = [*NOISE, *left.values()]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis hands out a random.Random
    seen = found(shuffled, engine)
    assert set(seen) == (set(left) if "promoted" in left else set())


@pytest.mark.parametrize("told", [POSTGRES, REDIS])
def test_an_event_from_before_the_fault_is_no_phase(told: dict[str, Told]) -> None:
    engine = "postgres" if told is POSTGRES else "redis"
    early = [(source, what, -at_ms) for source, what, at_ms in told.values()]
    assert found(early, engine) == {}
    assert found([*early, *told.values()], engine) == found(list(told.values()), engine)


def test_a_suspicion_that_came_to_nothing_is_no_failover() -> None:
    assert found([REDIS["detected"], REDIS["steady"]], "redis") == {}


def test_a_gap_that_never_ended_was_never_acknowledged() -> None:
    assert "acknowledged" not in found(list(POSTGRES.values()), "postgres", (acknowledged(0, -10),))


def test_without_a_steady_state_before_nothing_was_broken() -> None:
    one = msgspec.structs.replace(trial(TrialPlan()), steady_before=Steady(ok=False, detail="2 of 3 members"))
    events = tuple(Event(at_ns=FAULT_NS + at * MS, source=source, what=what) for source, what, at in POSTGRES.values())
    assert phases(msgspec.structs.replace(one, events=events), {}) == {}


@pytest.mark.parametrize(("engine", "told"), [("postgres", POSTGRES), ("redis", REDIS)])
def test_every_promotion_after_the_fault_counts_also_that_of_who_led_before(engine: str, told: dict[str, Told]) -> None:
    source, what, at_ms = told["promoted"]
    back = (source, what.replace("-1:", "-0:"), at_ms + 900)
    before = (source, what, -at_ms)
    seen = (before, told["promoted"], *NOISE, back)
    events = tuple(Event(at_ns=FAULT_NS + at * MS, source=source, what=what) for source, what, at in seen)
    assert promotions(msgspec.structs.replace(trial(TrialPlan()), events=events), engine) == 2


@pytest.mark.parametrize(("engine", "told"), [("postgres", POSTGRES), ("redis", REDIS)])
def test_while_it_is_broken_no_promotion_counts_that_the_undoing_brought(engine: str, told: dict[str, Told]) -> None:
    source, what, at_ms = told["promoted"]
    seen = ((source, what, at_ms), ("drill", UNDOING, at_ms + 100), (source, what.replace("-1:", "-0:"), at_ms + 200))

    def counted(*events: Told) -> int:
        one = tuple(Event(at_ns=FAULT_NS + at * MS, source=source, what=what) for source, what, at in events)
        return promotions(msgspec.structs.replace(trial(TrialPlan()), events=one), engine, while_broken=True)

    assert counted(*seen) == 1
    assert counted(*seen[1:]) == 0
    assert counted(seen[0], seen[2]) == 2  # nobody said that it was undone: nothing is excused
