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
    those given there (a latency that was met at a lower rate than stated says nothing).

    `source` says who made the statement first. Below `minimum_runs` conclusive runs the verdict is INCONCLUSIVE.
    A claim whose `counts_losses` is set is reported with the 95 % bound on its rate that the number of runs allows.
    """

    id: str
    statement: str
    source: str
    metric: str
    where: dict[str, str] = {}
    where_at_least: dict[str, float] = {}
    statistic: Statistic
    comparison: Comparison
    bound: float
    unit: str
    minimum_runs: int = 1
    counts_losses: bool = False


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All claims that a run is judged by, in the order of their ids: the content of `claims.json`."""

    schema: Literal[1] = 1
    claims: tuple[Claim, ...]
