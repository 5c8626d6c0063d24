"""One trial: steady state, one fault, recovery, steady state again, the ledgers."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from drills.faults.fault import Fault
from drills.feed import Feed
from drills.logs import Logs
from drills.routing import Routing
from drills.stage import Injection, Proof, Stage
from drills.steadiness import not_steady_because, steady_since_ns
from drills.wire import Seen, State, Stopped
from hms.errors import HmsError
from hms.evidence import Event, Steady, Trial, Writer
from hms.evidence import Fault as FaultRecord
from hms.phases import PROVED, STEADY, UNDOING

T = TypeVar("T")
Broken = tuple[Injection | None, Proof]

STEADY_SECONDS = 90.0
READ_BACK_SECONDS = 60.0
READY_POLL_SECONDS = 1.0
BEFORE_FAULT_NS = 2_000_000_000


def gone_astray(keeps: Collection[str], before: State, after: State) -> list[str]:
    """Return which of the engines that were to keep their primary did not, and who leads instead.

    Each promotion of Postgres begins a timeline.
    """
    found: list[str] = []
    old, new = before.postgres, after.postgres
    if "postgres" in keeps and (old.primary, old.timeline) != (new.primary, new.timeline):
        found.append(
            f"Postgres' primary: {old.primary} on timeline {old.timeline} -> {new.primary} on timeline {new.timeline}"
        )
    was, now = before.redis, after.redis
    if "redis" in keeps and was.primary != now.primary:
        found.append(f"Redis' primary: {was.primary} -> {now.primary}")
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial's record, and the files that belong to it by name."""

    trial: Trial
    files: dict[str, bytes]


class TrialRun:
    """Runs one trial of one fault on a stage whose pod is ready."""

    def __init__(
        self, stage: Stage, fault: Fault, routing: Routing, *, number: int, progress: Callable[[str], None]
    ) -> None:
        self._stage = stage
        self._fault = fault
        self._routing = routing
        self._number = number
        self._progress = progress
        self._feed = stage.pod.feed
        self._name = f"{fault.name}-{number}"
        self._rates = stage.pod.rates_per_second
        self._undone_ns = 0

    def run(self) -> Outcome:
        """Run it; `HmsError` only where it could not be run. Whatever happens, the fault is undone."""
        logs = self._stage.logs()
        try:
            return self._run(logs)
        finally:
            logs.end()

    def _run(self, logs: Logs) -> Outcome:
        self._stage.pod.want(self._name)
        before = self._steadiness(STEADY_SECONDS)
        self._say("steady" if before.ok else before.detail)
        logs.begin()
        steady_ns = self._stage.pod.far_ns()
        broken = self._break() if before.ok else (None, Proof(False, "not injected: no steady state before"))
        was_steady = before.ok
        if broken[0]:
            before = self._still(before, steady_ns, broken[0].at_ns)
        after = self._recover(broken[0]) if was_steady else Steady(ok=False, detail="nothing was injected")
        if after.ok:
            self._tell(max(steady_since_ns(self._feed, self._name), self._undone_ns), STEADY)
        # For whoever reads the containers' logs beside the timeline: they have the time of day.
        self._note(f"the time is {datetime.now(UTC).isoformat()}")
        end_ns = self._stage.pod.far_ns()
        self._stage.pod.want("")
        stopped = self._wait(lambda feed: feed.stopped.get(self._name), READ_BACK_SECONDS)
        if stopped is None:
            raise HmsError(f"trial {self._name}: the writers did not read back within {READ_BACK_SECONDS:g} s")
        self._say("steady again" if after.ok else after.detail)
        files = {**self._stage.pod.fetch(self._name, stopped.files), **logs.end()}
        return Outcome(self._record(broken, (before, after), stopped, end_ns), files)

    def _break(self) -> Broken:
        """Break it and prove it, let it last, and put it right whatever happens.

        What keeps a fault from being done or proved is this trial's, which then counts for nothing. A fault that cannot
        be put right is an `HmsError`: no other drill has anything to seek there.
        """
        injection: Injection | None = None
        try:
            injection = self._fault.inject(self._stage)
            proof = self._fault.prove(self._stage, injection)
            if proof.proved:
                self._tell(self._stage.pod.far_ns(), f"{PROVED}{proof.how}")
            proof = self._fault.hold(self._stage, injection, proof)
            self._say(f"{injection.target}: {proof.how}{'' if proof.proved else ' (not proved)'}")
        except HmsError as error:
            proof = Proof(False, f"{'not proved' if injection else 'not done'}: {error.message}")
            self._say(proof.how)
        finally:
            self._undo()
        return injection, proof

    def _undo(self) -> None:
        self._note(UNDOING)
        paid = self._stage.debts.settle(self._note)
        self._undone_ns = self._stage.pod.far_ns() if paid else 0
        if self._fault.cuts_off:
            self._stage.pod.listen_anew()

    def _note(self, what: str) -> None:
        """Keep what the drill itself does, at the moment when it begins to."""
        self._tell(self._stage.pod.far_ns(), what)

    def _still(self, before: Steady, steady_ns: int, fault_ns: int) -> Steady:
        """Return the steady state of before, unless it was lost while the fault was on its way."""
        lost = self._feed.unsteady_between(steady_ns, fault_ns)
        if not lost:
            return before
        self._say(f"no longer steady when the fault struck: {lost}")
        return Steady(ok=False, detail=f"no longer steady when the fault struck: {lost}")

    def _recover(self, injection: Injection | None) -> Steady:
        """Wait until all is as before, and note what was to stay and did not."""
        seconds = self._fault.recovery_seconds
        if injection is None:
            return self._steadiness(seconds)
        after = self._until_recovered(injection, seconds)
        if after.ok:
            for what in gone_astray(self._fault.keeps, injection.before, self._stage.state()):
                self._say(f"did not stay: {what}")
                self._note(f"did not stay: {what}")
        return after

    def _until_recovered(self, injection: Injection, seconds: float) -> Steady:
        """Wait until every writer has had a write acknowledged that was sent after the fault, then for steady state."""
        recovered = self._wait(lambda feed: True if self._all_acknowledged_since(feed, injection) else None, seconds)
        if not recovered:
            silent = [
                status.writer
                for status in self._feed.statuses.values()
                if status.last_acknowledged_sent_ns <= injection.at_ns
            ]
            return Steady(ok=False, detail=f"nothing acknowledged since the fault: {', '.join(silent)}")
        return self._steadiness(seconds)

    def _all_acknowledged_since(self, feed: Feed, injection: Injection) -> bool:
        statuses = feed.statuses.values()
        return all(status.last_acknowledged_sent_ns > injection.at_ns for status in statuses)

    def _steadiness(self, timeout_seconds: float) -> Steady:
        """Wait for the steady state by the word of the engines, the writers and the API server."""
        writers = len(self._rates)
        deadline = time.monotonic() + timeout_seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self._wait(lambda feed: not self._reason(feed) or None, left):
                break
            reason = self._stage.not_ready_because()
            if not reason:
                state = self._stage.state()
                said = f"{state.postgres.detail}; {state.redis.detail}; {writers} writers acknowledged throughout"
                return Steady(ok=True, detail=said)
            time.sleep(READY_POLL_SECONDS)
        reason = self._reason(self._feed) or self._stage.not_ready_because()
        return Steady(ok=False, detail=f"not steady within {timeout_seconds:g} s: {reason}")

    def _tell(self, at_ns: int, what: str) -> None:
        """Put an event of the drill's own on the timeline: the phases of a failover are read from there."""
        self._feed.add(Seen(at_ns=at_ns, source="drill", what=what))

    def _reason(self, feed: Feed) -> str:
        return not_steady_because(feed, self._name, len(self._rates), after_ns=self._undone_ns)

    def _say(self, what: str) -> None:
        self._progress(f"{self._name}: {what}")

    def _wait(self, condition: Callable[[Feed], T | None], timeout_seconds: float) -> T | None:
        """Wait for the feed; `HmsError` as soon as a program in the pod has failed."""

        def found_or_failed(feed: Feed) -> tuple[T | None] | None:
            if feed.failures:
                return (None,)
            found = condition(feed)
            return None if found is None else (found,)

        answer = self._feed.wait(found_or_failed, timeout_seconds)
        if self._feed.failures:
            raise HmsError(f"trial {self._name}: a program in the drill's pod failed: {self._feed.failures[-1]}")
        return answer[0] if answer else None

    def _record(self, broken: Broken, steady: tuple[Steady, Steady], stopped: Stopped, end_ns: int) -> Trial:
        injection, proof = broken
        at_ns = injection.at_ns if injection else end_ns
        events = [
            Event(at_ns=seen.at_ns, source=seen.source, what=seen.what)
            for seen in self._feed.events_between(at_ns - BEFORE_FAULT_NS, end_ns)
        ]
        for result in stopped.results:
            if result.not_sent:
                missed = f"{result.not_sent} arrivals were not sent: too many were under way"
                events.append(Event(at_ns=stopped.at_ns, source=f"writer {result.writer}", what=missed))
            if result.problem:
                events.append(Event(at_ns=stopped.at_ns, source=f"writer {result.writer}", what=result.problem))
        if injection:
            events.append(Event(at_ns=at_ns, source="drill", what=f"{self._fault.does}: {injection.target}"))
        return Trial(
            drill=self._fault.name,
            number=self._number,
            fault=FaultRecord(
                name=self._fault.name,
                target=injection.target if injection else "",
                at_ns=at_ns,
                clock_uncertainty_ns=injection.uncertainty_ns if injection else 0,
                proved=proof.proved,
                proof=proof.how,
            ),
            steady_before=steady[0],
            steady_after=steady[1],
            effective=dict(sorted((self._feed.effective | self._routing.effective).items())),
            events=tuple(sorted(events, key=lambda event: event.at_ns)),
            writers=tuple(
                Writer(
                    name=result.writer,
                    rate_per_second=self._rates[result.writer],
                    nodes=result.nodes,
                    authoritative=result.authoritative,
                )
                for result in stopped.results
            ),
            readers=stopped.readers,
        )


def not_applicable(fault: Fault, number: int, reason: str) -> Trial:
    """Return the record of a trial that this stack cannot have."""
    never = Steady(ok=False, detail="not applicable")
    return Trial(
        drill=fault.name,
        number=number,
        fault=FaultRecord(
            name=fault.name, target="", at_ns=0, clock_uncertainty_ns=0, proved=False, proof="not applicable"
        ),
        steady_before=never,
        steady_after=never,
        effective={},
        events=(),
        writers=(),
        not_applicable=reason,
    )
