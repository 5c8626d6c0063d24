"""The `Claim`: one statement that the stack makes about itself, as data, with the bound that it is judged by."""

import operator
from collections.abc import Callable
from typing import Literal

import msgspec

Statistic = Literal["min", "median", "p95", "p99", "p99.9", "max", "sum", "mean"]
Comparison = Literal["<=", "<", ">=", ">", "=="]

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt, "==": operator.eq,
}  # fmt: skip


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One statement: `statistic` of `metric`, over the runs that it is about, held against the bound.

    It is about the runs whose labels contain `where` and whose labels named in `where_at_least` are numbers not below
    those given there (a latency that was met at a lower rate than stated says nothing), less those that have a label
    which one of the patterns of `where_not` fits (`*` stands for any characters).

    `source` says who made the statement first. Below `minimum_runs` conclusive runs the verdict is INCONCLUSIVE.
    `proof_runs` is set where a short proof (`hms prove`) makes the statement too: so many runs are its minimum there.
    With `faults_per_month`, by drill, it is an availability in %: each stated fault costs that drill's `statistic` of a
    metric in seconds, and `minimum_runs` is for each drill.
    A claim whose `counts_losses` is set is reported with the 95 % bound on its rate that the number of runs allows.
    """

    id: str
    statement: str
    source: str
    metric: str
    where: dict[str, str] = {}
    where_at_least: dict[str, float] = {}
    where_not: dict[str, tuple[str, ...]] = {}
    statistic: Statistic
    comparison: Comparison
    bound: float
    unit: str
    minimum_runs: int = 1
    proof_runs: int | None = None
    faults_per_month: dict[str, float] = {}
    counts_losses: bool = False


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The claims that a run is judged by, in the order of their ids: the content of `claims.json`.

    `left_out` are the ids of those that a short proof does not make; empty in a full catalogue.
    """

    schema: Literal[1] = 1
    claims: tuple[Claim, ...]
    left_out: tuple[str, ...] = ()

    def short_proof(self) -> "Catalogue":
        """Return the claims that a short proof makes, each with its minimum of runs there, and what is left out."""
        kept = tuple(
            msgspec.structs.replace(claim, minimum_runs=claim.proof_runs)
            for claim in self.claims
            if claim.proof_runs is not None
        )
        names = {claim.id for claim in kept}
        return Catalogue(claims=kept, left_out=tuple(claim.id for claim in self.claims if claim.id not in names))
