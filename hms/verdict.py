"""The `Verdict` on a claim, and the `Observation`s that it stands on."""

from typing import Literal

import msgspec

Outcome = Literal["PASSED", "FAILED", "INCONCLUSIVE", "NOT_APPLICABLE"]


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What one run contributes to a metric.

    `run` is the run's path inside the evidence (`drills/postgres-kill-primary/1`). It holds either raw `values`, or
    `histogram`, an HDR histogram V2 in base64; a value in it times `histogram_scale` is in the metric's unit. A run
    that must not count says why in `inconclusive`: no steady state before it, a fault that was not proved, a
    generator that was the limit.
    """

    metric: str
    labels: dict[str, str]
    run: str
    values: tuple[float, ...] = ()
    histogram: str = ""
    histogram_scale: float = 1.0
    inconclusive: str = ""
    not_applicable: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement on one claim: the figure, its spread over the runs, and the reason in words.

    `figure`, `smallest`, `median` and `largest` are in the claim's unit; None where no run counted.
    """

    claim: str
    outcome: Outcome
    figure: float | None
    smallest: float | None
    median: float | None
    largest: float | None
    runs: int
    runs_set_aside: int
    reason: str
