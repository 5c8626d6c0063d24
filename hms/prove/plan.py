"""What one `hms prove` shall do: the stack, the cluster, and how much is measured."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from hms.errors import InvalidSpecError

MINIMUM_TRIALS_FOR_A_VERDICT = 3

PROVED_RATE_PER_SECOND = 40.0
"""Above the 100,000 requests an hour that are claimed, which are 27.8 a second, by a margin and not more: stack, three
nodes of Kubernetes and the load generator share the machine's cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvePlan:
    """The choices of one run; `InvalidSpecError` has every one that makes no sense.

    `kubeconfig` and `context` name a cluster of the user's; without them the test cluster `cluster` is used, made if it
    is not there. `keep` leaves stack and cluster as they are at the end.
    """

    stack: str = "ci"
    cluster: str = "prove"
    kubeconfig: Path | None = None
    context: str | None = None
    keep: bool = False
    evidence: Path | None = None
    rate_per_second: float = PROVED_RATE_PER_SECOND
    load_seconds: float = 30.0
    load_workers: int = 1
    trials: int = MINIMUM_TRIALS_FOR_A_VERDICT
    drills: tuple[str, ...] = field(default=("postgres-kill-primary", "redis-kill-primary"))

    def __post_init__(self) -> None:
        problems = []
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", self.cluster):
            problems.append(
                f"--cluster {self.cluster!r}: must be a lower-case letter, then at most 19 of a-z, 0-9 and '-'"
            )
        if (self.kubeconfig is None) != (self.context is None):
            problems.append("--kubeconfig and --context: both or neither; without them the test cluster is used")
        if not 1 <= self.rate_per_second <= 100_000:
            problems.append(f"--rate {self.rate_per_second:g}: must be from 1 to 100000 arrivals a second")
        if not 2 <= self.load_seconds <= 86_400:
            problems.append(f"--load-seconds {self.load_seconds:g}: must be from 2 to 86400")
        if not 1 <= self.load_workers <= 64:
            problems.append(f"--load-workers {self.load_workers}: must be from 1 to 64")
        if not 1 <= self.trials <= 1000:
            problems.append(f"--trials {self.trials}: must be from 1 to 1000")
        if problems:
            raise InvalidSpecError("hms prove", problems)

    @property
    def own_cluster(self) -> bool:
        """Whether the embedded test cluster is used, and not one of the user's."""
        return self.kubeconfig is None

    @property
    def cluster_settings(self) -> dict[str, str]:
        """The stack's settings by which Pulumi finds the cluster."""
        if self.kubeconfig is not None and self.context is not None:
            return {"kubeconfig": str(self.kubeconfig.expanduser().resolve()), "context": self.context}
        return {"testCluster": self.cluster}
