"""The `Verdict` on a claim, and the `Observation`s that it stands on."""

from typing import Literal

import msgspec

Outcome = Literal["PASSED", "FAILED", "INCONCLUSIVE", "NOT_APPLICABLE"]


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What one run contributes to a metric.

    `run` is the run's path inside the evidence (`drills/postgres-kill-primary/1`). It holds either raw `values`, or
    `histogram`, an HDR histogram V2 in base64; a value in it times `histogram_scale` is in the metric's unit. A value
    of infinity is one that had no end: a write gap that was still open when the ledger closed.

    A run that must not count says why in `inconclusive`: no steady state before it, a fault that was not proved, a
    generator that was the limit. `unresolved` is set where, beyond that, nobody can know whether the claim held: the
    evidence is damaged, or the stack was not steady again when it was asked what it has. No verdict passes over that.
    """

    metric: str
    labels: dict[str, str]
    run: str
    values: tuple[float, ...] = ()
    histogram: str = ""
    histogram_scale: float = 1.0
    inconclusive: str = ""
    unresolved: bool = False
    not_applicable: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement on one claim: the figure, its spread over the runs, and the reason in words.

    `figure`, `smallest`, `median` and `largest` are in the claim's unit; None where no run counted, and where the value
    has no end, of which there are `endless`. `runs` counted, `runs_set_aside` did not.
    """

    claim: str
    outcome: Outcome
    figure: float | None
    smallest: float | None
    median: float | None
    largest: float | None
    runs: int
    runs_set_aside: int
    endless: int = 0
    reason: str


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on a catalogue, in its order: the content of `verdicts.json`."""

    schema: Literal[1] = 1
    verdicts: tuple[Verdict, ...]
