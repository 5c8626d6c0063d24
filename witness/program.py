"""The shell around the core: it brings news, asks the leader, and does what the core decides, one thing at a time."""

import asyncio
import time
from typing import Any, NoReturn

from witness.core import (
    Action,
    Clear,
    Hold,
    Publish,
    Raise,
    Record,
    Release,
    Suspect,
    Take,
    Unhold,
    Vote,
    Withdraw,
    decide,
)
from witness.debt import Debt
from witness.deposed import end_deposed
from witness.fence import Standby
from witness.kube import Kube, KubeError, StatusError
from witness.lease import Lease
from witness.log import say
from witness.metrics import Metrics
from witness.news import AGAIN_SECONDS, NOT_READ, News
from witness.probe import Suspicion, probe
from witness.record import patch_of, seal_of, unasked
from witness.settings import Settings

FENCED_POLL_SECONDS = 0.01
"""How often the kernel is asked while fenced: a pending SIGTERM sends no news."""
HOLDING_POLL_SECONDS = 0.2
REST_POLL_SECONDS = 2.0
LEASE_TICK_SECONDS = 1.0
CONFLICT = 409


class Witness:
    """One witness: what the API server says, its suspicion, its standby."""

    def __init__(self, settings: Settings, kube: Kube, metrics: Metrics) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = metrics
        self._news = News(kube, settings.scope, settings.members, metrics)
        self._suspicion = Suspicion(settings.failures)
        self._lease = Lease(round(settings.stale_seconds / LEASE_TICK_SECONDS))
        self._standby = Standby(settings.home, settings.data, settings.sockets, settings.postgres_port, say)
        self._debt = Debt(settings.patroni_port)
        self._latched_at = time.monotonic()
        self._suspected: tuple[str, str] | None = None

    async def run(self) -> None:
        """Go on until cancelled."""
        latch = self._standby.latch
        if latch is not None:
            # Whoever wrote the latch had found that leader silent; three probes of our own may find otherwise.
            self._suspicion.begin(latch.leader, latch.term, silent=True)
            say("latch found", vote=latch._asdict())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._news.watch())
            tasks.create_task(self._probe())
            tasks.create_task(self._watch_lease())
            tasks.create_task(self._decide())

    def config(self) -> dict[str, Any]:
        """Return the last that is known of the object on which the witnesses say whom they find silent."""
        return self._news.config()

    # Suspicion

    async def _probe(self) -> NoReturn:
        period, patience = self._settings.period_ms / 1000, self._settings.patience_ms / 1000
        while True:
            began = time.monotonic()
            record = self._news.record()
            if record is not None and record.leader is not None and record.leader != self._settings.member:
                await self._probe_leader(record.leader, record.term, patience)
            await asyncio.sleep(max(period - (time.monotonic() - began), 0))

    async def _probe_leader(self, leader: str, term: str, patience: float) -> None:
        address = self._news.address()
        if not address:
            return
        self._suspicion.begin(leader, term)
        found = await probe(address, self._settings.patroni_port, self._settings.postgres_port, patience)
        self._metrics.add("probes", "answered" if found.answered else "late" if found.late else "silent")
        self._suspicion.count(leader, term, found)
        if found.patroni:
            self._lease.patroni_answered()
        self._compare()

    async def _watch_lease(self) -> NoReturn:
        """See whether the leader's lease is renewed; where the watch says that it is not, the API server is asked."""
        while True:
            await asyncio.sleep(LEASE_TICK_SECONDS)
            lease, was_read = self._foreign_lease(), False
            if lease is not None and lease == self._lease.seen:
                try:
                    await self._news.read()
                    lease, was_read = self._foreign_lease(), True
                except NOT_READ as error:
                    say("lease not read", error=str(error))
            self._lease.tick(lease, was_read=was_read)
            self._compare()

    def _foreign_lease(self) -> Vote | None:
        record = self._news.record()
        return None if record is None or record.leader == self._settings.member else record.lease

    def _suspects(self, record: Record) -> bool:
        if record.leader is None:
            return False
        return (
            self._suspicion.suspects(record.leader, record.term)
            or self._lease.is_stale(record.lease)
            or self._news.leaders_pod_is_gone()
        )

    def _compare(self) -> None:
        """Say so where the suspicion has changed, and decide anew."""
        record = self._news.record()
        suspected = None
        if record is not None and record.leader is not None and self._suspects(record):
            suspected = (record.leader, record.term)
        if suspected != self._suspected:
            self._suspected = suspected
            self._news.came.set()
            if suspected is not None:
                self._metrics.add("suspicions")
                why = "lease" if self._lease.is_stale(self._foreign_lease()) else "probes"
                why = "pod" if self._news.leaders_pod_is_gone() else why
                say("suspects", leader=suspected[0], term=suspected[1], why=why)

    # Decision

    async def _decide(self) -> NoReturn:
        while True:
            poll = HOLDING_POLL_SECONDS if self._holds() else REST_POLL_SECONDS
            if self._standby.latch is not None:
                poll = FENCED_POLL_SECONDS
            try:
                async with asyncio.timeout(poll):
                    await self._news.came.wait()
            except TimeoutError:
                pass
            self._news.came.clear()
            self._metrics.came_round()
            self._compare()
            await self._end_deposed()
            while (record := self._news.record()) is not None and await self._step(record, self._news.address()):
                pass

    async def _end_deposed(self) -> None:
        record = self._news.record()
        if record is None or record.leader in {None, self._settings.member}:
            return
        leader = await end_deposed(self._settings.data, self._settings.member, self._news.leader_now)
        if leader is not None:
            self._metrics.add("deposed")
            say("ended", reason="another leads, and this member's server was a primary still", leader=leader)

    def _holds(self) -> bool:
        record = self._news.record()
        return record is not None and self._settings.member in record.sync.holds

    async def _step(self, record: Record, address: str) -> bool:
        """Decide once and act; return whether to decide again at once.

        `address` is that of the record's leader. News that comes meanwhile may have another's.
        """
        fence = await self._standby.look(
            term=record.term, leads=record.leader == self._settings.member, address=address
        )
        suspects = self._suspects(record)
        if not suspects and self._holds() and fence.latch is None:
            # Not of a silent leader, who would keep the answer for a second.
            fence = fence._replace(caught_up=await self._debt.is_paid(address))
        gives_up = time.monotonic() - self._latched_at > self._settings.gives_up_ms / 1000
        action = decide(self._settings.member, record, fence, suspects=suspects, gives_up=gives_up)
        return action is not None and await self._act(action, address)

    async def _act(self, action: Action, address: str) -> bool:
        match action:
            case Raise(vote):
                return await self._raise(vote, address)
            case Release():
                self._standby.release()
                self._debt.begin()
                self._metrics.add("releases")
                self._metrics.fenced(time.monotonic() - self._latched_at)
                say("released")
                return True
            case Take():
                return await self._take(action)
            case Suspect() | Clear() | Hold() | Unhold() | Publish() | Withdraw():
                name, body = patch_of(action, self._settings.member, self._settings.scope)
                return await self._write(action, "endpoints", name, body)

    async def _raise(self, vote: Vote, address: str) -> bool:
        is_new, began = self._standby.latch != vote, time.monotonic()
        if is_new and not address:
            say("not fenced", vote=vote._asdict(), reason="nobody knows where the leader answers")
            return False
        if is_new:
            self._latched_at = began
            self._metrics.add("fences")
            self._debt.begin()
        async with asyncio.TaskGroup() as tasks:
            fencing = tasks.create_task(self._standby.fence(vote, address))
            if is_new:
                tasks.create_task(self._keep_from_race(vote.leader))
        took_ms = round((time.monotonic() - began) * 1000)
        say("fenced" if fencing.result() else "latched", vote=vote._asdict(), took_ms=took_ms)
        return fencing.result()

    async def _take(self, action: Take) -> bool:
        """Seal the `sync` object, then free the key."""
        seal = seal_of(action, self._settings.scope, f"{self._settings.member} {time.time_ns()}")
        if not await self._write(action, "endpoints", *seal):
            return False
        name, body = patch_of(action, self._settings.member, self._settings.scope)
        return await self._write(action, "endpoints", name, body)

    async def _keep_from_race(self, leader: str) -> None:
        """See to it that Patroni's race does not ask a silent leader, which would cost each racer 2 s.

        Two writes before the key is freed: Patroni watches pods and keys by two streams, and may see the later first.
        """
        try:
            patch = unasked(await self._kube.get("pods", leader))
            if patch is not None:
                await self._kube.patch("pods", leader, patch)
        except (KubeError, StatusError) as error:
            # The race is slower for it, and as safe.
            say("asked by the race", member=leader, error=str(error))

    async def _write(self, action: Action, kind: str, name: str, body: dict[str, Any]) -> bool:
        """Tell whether it was written; what then stands is the next record.

        What made a conflict is read at once, as news to decide on: by the watch it may come late.
        """
        step = type(action).__name__.lower()
        try:
            item = await self._kube.patch(kind, name, body)
        except StatusError as error:
            self._metrics.add("conflicts" if error.status == CONFLICT else "errors")
            say("refused", action=step, object=name, error=str(error))
            if error.status == CONFLICT:
                try:
                    await self._news.read()
                except NOT_READ as again:
                    say("not read again", error=str(again))
            else:
                await asyncio.sleep(AGAIN_SECONDS)
            return False
        except KubeError as error:
            self._metrics.add("errors")
            say("unanswered", action=step, object=name, error=str(error))
            return False
        say(step, object=name, version=item["metadata"]["resourceVersion"])
        counted = {"publish": "votes", "withdraw": "withdrawals", "take": "keys_taken"}.get(step)
        if counted and name == self._settings.scope:
            self._metrics.add(counted)
        self._news.learn(item)
        return True
