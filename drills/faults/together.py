"""Two faults at a time."""

import time
from dataclasses import dataclass

from drills.faults.fault import Fault
from drills.stage import Injection, Proof, Stage


def exclude_each_other(first: Fault, second: Fault) -> bool:
    """Say whether two faults must not be done at once: they break the same thing, or want the pod in two places."""
    places = {first.place, second.place} - {"anywhere"}
    return bool(first.touches & second.touches) or len(places) > 1


@dataclass(frozen=True, kw_only=True)
class Together(Fault):
    """One fault, and another a moment later, of another part of the stack. Both are put right together."""

    first: Fault
    second: Fault
    pause_seconds: float

    @classmethod
    def of(cls, first: Fault, second: Fault, *, pause_seconds: float) -> "Together":
        """Return the two as one; `ValueError` where they exclude each other."""
        if exclude_each_other(first, second):
            raise ValueError(f"{first.name} and {second.name} break the same thing")
        both = (first, second)
        return cls(
            name=f"{first.name}+{second.name}",
            does=f"{first.does}; {pause_seconds:.1f} s later {second.does}",
            undone=f"{first.undone}; {second.undone}",
            proved_by=f"{first.proved_by}; {second.proved_by}",
            stays_true=f"{first.stays_true}; {second.stays_true}",
            seconds=pause_seconds + max(fault.seconds for fault in both),
            touches=first.touches | second.touches,
            needs=tuple(sorted({*first.needs, *second.needs})),
            # What one of them breaks the other cannot promise to keep.
            keeps=(first.keeps | second.keeps) - first.touches - second.touches,
            place=first.place if first.place != "anywhere" else second.place,
            lasts_seconds=max(fault.lasts_seconds for fault in both),
            stubborn=first.stubborn or second.stubborn,
            recovery_seconds=max(fault.recovery_seconds for fault in both),
            first=first,
            second=second,
            pause_seconds=pause_seconds,
        )

    def of_trial(self, number: int) -> Fault:
        """Return the two of the trial."""
        first, second = self.first.of_trial(number), self.second.of_trial(number)
        return Together.of(first, second, pause_seconds=self.pause_seconds)

    def inject(self, stage: Stage) -> Injection:
        """Do the first, wait, do the second; both are proved from the state that each of them found."""
        first = self.first.inject(stage)
        time.sleep(self.pause_seconds)
        second = self.second.inject(stage)
        return Injection(
            target=f"{first.target}; {second.target}",
            at_ns=first.at_ns,
            uncertainty_ns=first.uncertainty_ns,
            before=first.before,
            notes=(),
            parts=(first, second),
        )

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Prove each."""
        pairs = zip((self.first, self.second), injection.parts, strict=True)
        proofs = [fault.prove(stage, part) for fault, part in pairs]
        return Proof(all(proof.proved for proof in proofs), "; ".join(proof.how for proof in proofs))

    def hold(self, stage: Stage, injection: Injection, proof: Proof) -> Proof:
        """Let both last, the longer one as long as it is to."""
        first, second = (
            fault.hold(stage, part, Proof(proof.proved, ""))
            for fault, part in zip((self.first, self.second), injection.parts, strict=True)
        )
        return Proof(
            first.proved and second.proved,
            "; ".join(filter(None, (proof.how, first.how.strip("; "), second.how.strip("; ")))),
        )

    def not_applicable_because(self, stage: Stage) -> str:
        """Return why one of them cannot be done here."""
        return self.first.not_applicable_because(stage) or self.second.not_applicable_because(stage)
