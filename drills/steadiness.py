"""When a stack is in its steady state, and why it is not: judged by what its observer and its writers said."""

from collections.abc import Iterable, Mapping
from typing import Any

from drills.feed import Feed
from drills.wire import State, WriterStatus

STEADY_FOR_NS = 2_000_000_000
FLOWING_NS = 1_000_000_000
SILENT_NS = 2_000_000_000


def not_steady_because(feed: Feed, trial: str, writers: int, *, after_ns: int = 0) -> str:
    """Return why the stack is not in its steady state, or nothing if it has been for `STEADY_FOR_NS`.

    It is, when the observer has called both engines steady for that long, and every writer has had each write of that
    span acknowledged, up to `FLOWING_NS` ago. Who has been silent for `SILENT_NS` is not taken at an old word. The span
    begins after `after_ns`: where the feed was cut off, what it brings later is of a time before that.
    """
    state = feed.state
    if state is None:
        return "the observer has said nothing yet"
    statuses = [status for status in feed.statuses.values() if status.trial == trial]
    reason = _silent(state, statuses) or _engines(feed, state) or _flow(statuses)
    if reason:
        return reason
    started = feed.started.get(trial)
    if started is None or len(statuses) < writers:
        return f"{len(statuses)} of {writers} writers write"
    since_ns = max(after_ns, steady_since_ns(feed, trial))
    if state.at_ns - since_ns < STEADY_FOR_NS:
        return f"steady for {max(state.at_ns - since_ns, 0) / 1e9:.1f} s of {STEADY_FOR_NS / 1e9:g} s"
    return ""


def steady_since_ns(feed: Feed, trial: str) -> int:
    """Return since when both engines have been steady and no write failed, on the pod's clock."""
    failed_ns = [status.last_failed_ns for status in feed.statuses.values() if status.trial == trial]
    started = feed.started.get(trial)
    return max([feed.steady_since_ns, *failed_ns, *([started.at_ns] if started else [])])


def _silent(state: State, statuses: list[WriterStatus]) -> str:
    newest_ns = max([state.at_ns, *(status.at_ns for status in statuses)])
    silent = [f"writer {status.writer}" for status in statuses if newest_ns - status.at_ns > SILENT_NS]
    if newest_ns - state.at_ns > SILENT_NS:
        silent.append("the observer")
    return f"silent: {', '.join(silent)}" if silent else ""


def _engines(feed: Feed, state: State) -> str:
    if feed.steady_since_ns:
        return ""
    return "; ".join(part.detail for part in (state.postgres, state.redis) if not part.steady)


def _flow(statuses: list[WriterStatus]) -> str:
    for status in statuses:
        if status.at_ns - status.last_acknowledged_sent_ns > FLOWING_NS:
            last_word = f" ({status.detail})" if status.detail else ""
            return f"writer {status.writer}: nothing acknowledged of late{last_word}"
    return ""


def not_ready_because(workloads: Iterable[Mapping[str, Any]]) -> str:
    """Return which of these StatefulSets and Deployments lack a ready pod, as the API server has it; empty if none."""
    lacking: list[str] = []
    for workload in workloads:
        wanted = int(workload["spec"].get("replicas", 1))
        ready = int(workload.get("status", {}).get("readyReplicas", 0))
        if ready < wanted:
            lacking.append(f"{workload['metadata']['name']} has {ready} of {wanted} pods ready")
    return "; ".join(lacking)
