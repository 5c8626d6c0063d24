"""What a load run shall be: validated once, every problem named at once."""

import math
import re
from typing import get_args

import msgspec

from hms.errors import InvalidSpecError
from hms.evidence import Objective
from hms.load_shape import UNIT_SECONDS, LoadShape, parse_shape
from loadtests.scenario import class_name, load_scenarios
from loadtests.schedule import Arrivals
from loadtests.target import Target

RESULT_MARKER = "HMS-LOAD-RUN "
"""What the generator's master prints before the run's record, in one line of its own."""

RATE_BOUNDS_PER_SECOND = (0.1, 20_000.0)
DURATION_BOUNDS_SECONDS = (1.0, 86_400.0)
WORKER_BOUNDS = (1, 32)
SEED_BOUNDS = (0, 2**63 - 1)

DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One load run: arrivals of `scenario` at `rate_per_second` over all workers, against `target`, a URL's root.

    With a `shape` (`hms.load_shape`) the rate is its base rate, and `duration_seconds` are the shape's own.
    """

    scenario: str
    rate_per_second: float
    duration_seconds: float
    workers: int
    seed: int
    target: str
    shape: str = ""
    arrivals: Arrivals = "poisson"
    objective: Objective | None = None

    @property
    def user_class(self) -> str:
        """The Locust user class of the scenario."""
        return class_name(self.scenario)

    @property
    def rate_per_worker(self) -> float:
        """Arrivals per second of one worker's stream."""
        return self.rate_per_second / self.workers

    @property
    def max_in_flight_per_worker(self) -> int:
        """How many requests a worker may have under way: four seconds' worth, at least 64, at most 2,048.

        Four seconds let a stall of that length show in the response times instead of in the drops.
        """
        highest = parse_shape(self.shape).highest if self.shape else 1.0
        return min(max(64, round(4 * self.rate_per_worker * highest)), 2048)


class _Problems:
    """The problems of a plan, collected so that a person meets all of them at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def bounded(self, key: str, value: float, bounds: tuple[float, float], unit: str = "") -> None:
        low, high = bounds
        # Written so that NaN, which is neither below nor above, is outside too.
        if not low <= value <= high:
            self.found.append(f"{key} {value:.12g}{unit}: must be from {low:.12g} to {high:.12g}{unit}")

    def number(self, key: str, text: str | float) -> float:
        try:
            value = float(text)
        except ValueError:
            self.found.append(f"{key} {text!r}: must be a number")
            return math.nan
        return value

    def whole_number(self, key: str, text: str | int) -> int | None:
        try:
            return int(text)
        except ValueError:
            self.found.append(f"{key} {text!r}: must be a whole number")
            return None

    def duration_seconds(self, key: str, text: str | float) -> float:
        if not isinstance(text, str):
            return text
        if match := DURATION.fullmatch(text.strip()):
            return float(match[1]) * UNIT_SECONDS[match[2]]
        self.found.append(f"{key} {text!r}: must be a number with its unit s, m or h, as in 30s")
        return math.nan

    def shape(self, key: str, text: str) -> LoadShape | None:
        try:
            return parse_shape(text) if text else None
        except ValueError as error:
            self.found.append(f"{key} {text!r}: {error}")
            return None


def make_plan(
    app: Target,
    *,
    scenario: str,
    rate_per_second: float | str,
    duration: float | str,
    workers: int | str,
    seed: int | str = 1,
    target: str | None = None,
    shape: str = "",
    arrivals: str = "poisson",
) -> LoadPlan:
    """Return the plan of a load on `app`; `InvalidSpecError` has every problem: key, value, bound.

    Numbers may come as a person typed them. `duration` is in seconds, or text with a unit: `30s`, `5m`, `1h`; a shape
    has its own, and `duration` is not looked at.
    """
    url = target if target is not None else app.url
    problems = _Problems()
    if scenario not in load_scenarios():
        problems.found.append(f"scenario {scenario!r}: must be one of {', '.join(sorted(load_scenarios()))}")
    rate = problems.number("rate", rate_per_second)
    shaped = problems.shape("shape", shape)
    seconds = shaped.seconds if shaped else problems.duration_seconds("duration", duration)
    worker_count = problems.whole_number("workers", workers)
    seed_number = problems.whole_number("seed", seed)
    if arrivals not in get_args(Arrivals):
        problems.found.append(f"arrivals {arrivals!r}: must be one of {', '.join(get_args(Arrivals))}")
    for key, value, bounds, unit in (
        ("rate", rate, RATE_BOUNDS_PER_SECOND, "/s"),
        ("shape's highest rate", rate * shaped.highest if shaped else 1.0, RATE_BOUNDS_PER_SECOND, "/s"),
        ("duration", seconds, DURATION_BOUNDS_SECONDS, " s"),
        ("workers", worker_count, WORKER_BOUNDS, ""),
        ("seed", seed_number, SEED_BOUNDS, ""),
    ):
        # What could not be read has its problem already.
        if value is not None and not (math.isnan(value) and any(p.startswith(f"{key} ") for p in problems.found)):
            problems.bounded(key, value, bounds, unit)
    if wrong_target := app.problem(url):
        problems.found.append(wrong_target)
    if problems.found or worker_count is None or seed_number is None:
        raise InvalidSpecError("load", problems.found)
    return LoadPlan(
        scenario=scenario,
        rate_per_second=rate,
        duration_seconds=seconds,
        workers=worker_count,
        seed=seed_number,
        target=url,
        shape=shape,
        arrivals=msgspec.convert(arrivals, Arrivals),
    )
