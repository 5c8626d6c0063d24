"""The `Proof`: what a run of `hms prove` came to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hms.claim import Catalogue
from hms.verdict import Verdict

CONTROL_CLAIM = "control-caught"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Where the evidence and the report lie, what was claimed, the verdicts, and the seconds that it all took."""

    evidence: Path
    report: Path
    catalogue: Catalogue
    verdicts: tuple[Verdict, ...]
    seconds: float

    @property
    def failed(self) -> tuple[str, ...]:
        """The ids of the claims that FAILED."""
        return tuple(verdict.claim for verdict in self.verdicts if verdict.outcome == "FAILED")

    @property
    def counts(self) -> bool:
        """Whether the negative control was caught losing writes: without that, nothing else here is worth anything."""
        return any(v.claim == CONTROL_CLAIM and v.outcome == "PASSED" for v in self.verdicts)

    def as_data(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "evidence": str(self.evidence),
            "report": str(self.report),
            "seconds": round(self.seconds, 1),
            "verdicts": msgspec.to_builtins(self.verdicts),
        }
