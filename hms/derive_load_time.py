"""What a load run contributes that only its course over time shows: recovery from a spike, drift in a soak. Pure."""

import math
import statistics
from collections import defaultdict
from fractions import Fraction

import msgspec

from hms.errors import EvidenceError
from hms.evidence import LoadRun, Resource, Window
from hms.load_shape import parse_shape
from hms.statistics import decode_histogram
from hms.verdict import Observation

SOAK_SECONDS = 600.0
"""In a shorter run quarters differ by chance and by what warms up."""

REFUSED = "refused"
"""The operation as which a request counts that was refused for want of room, where a scenario asks for that."""


def time_observations(load: LoadRun, labels: dict[str, str], *, run: str, limit: str) -> list[Observation]:
    """Return the recovery of a run that was above its base rate and calm again, or the drift of a soak."""
    if not load.windows:
        return []
    if load.shape:
        calm_after = parse_shape(load.shape).calm_after
        if calm_after is None:
            return []
        value = recovery_seconds(load, calm_after)
        return [Observation(metric="load.recovery", labels=labels, run=run, values=(value,), inconclusive=limit)]
    if load.duration_seconds < SOAK_SECONDS:
        return []
    return [
        Observation(
            metric="load.drift", labels={**labels, "operation": operation.name}, run=run, values=(drift,),
            inconclusive=limit,
        )
        for operation in load.operations
        if (drift := drift_percent(load, operation.name)) is not None
    ]  # fmt: skip


def recovery_seconds(load: LoadRun, calm_after: float) -> float:
    """Return the time from `calm_after` to the end of the last window with a trouble; infinity if that is the end."""
    troubled = [window.number for window in load.windows if _trouble(window)]
    if not troubled:
        return 0.0
    if max(troubled) == max(window.number for window in load.windows):
        return math.inf
    return max(0.0, (max(troubled) + 1) * load.window_seconds - calm_after)


def _trouble(window: Window) -> int:
    return window.dropped + sum(
        operation.failed + (operation.ok if operation.name == REFUSED else 0) for operation in window.operations
    )


def drift_percent(load: LoadRun, operation: str) -> float | None:
    """Return by how much the windows' median response time is higher at the end; None if it was never asked for."""
    medians: dict[int, float] = {}
    for window in load.windows:
        for one in window.operations:
            seen = decode_histogram(one.response_histogram, scale=0.001)
            if one.name == operation and seen.total:
                medians[window.number] = seen.quantile(Fraction(1, 2))
    length = load.duration_seconds / load.window_seconds
    return _rise([(number / length, value) for number, value in medians.items()])


def memory_observations(
    load: LoadRun, resources: bytes, labels: dict[str, str], *, run: str
) -> list[Observation]:  # fmt: skip
    """Return how the memory of each role's pods grew in a soak; `EvidenceError` if a line cannot be read."""
    if load.duration_seconds < SOAK_SECONDS or load.shape:
        return []
    pods: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for one in read_resources(resources, run=run):
        pods[one.role, one.pod].append((one.at_seconds / load.duration_seconds, float(one.memory_bytes)))
    grown: dict[str, float] = {}
    for (role, _), samples in pods.items():
        rise = _rise(samples)
        if rise is not None:
            grown[role] = max(rise, grown.get(role, -math.inf))
    return [
        Observation(metric="load.memory_growth", labels={**labels, "role": role}, run=run, values=(value,))
        for role, value in sorted(grown.items())
    ]


def read_resources(content: bytes, *, run: str) -> list[Resource]:
    """Read what the pods used; `EvidenceError` if a line cannot be read."""
    try:
        return [msgspec.json.decode(line, type=Resource) for line in content.splitlines()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{run}/resources.jsonl: cannot be read: {error}") from error


def _rise(samples: list[tuple[float, float]]) -> float | None:
    """Return by how many percent the median of the last quarter is above that of the second; x is 0 to 1."""
    second = [value for share, value in samples if 0.25 <= share < 0.5]
    last = [value for share, value in samples if 0.75 <= share < 1]
    if not second or not last:
        return None
    return 100 * (statistics.median(last) / statistics.median(second) - 1)
