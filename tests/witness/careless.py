"""Cores and shells that leave out one thing each: the explorer must find what each of them loses."""

from tests.witness.states import Budget
from tests.witness.world import Rules
from witness.core import Action, Fence, Publish, Raise, Record, Release, Take, Unhold, Withdraw, decide


def _detector(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Take the key of a leader that does not answer, as the first prototype did."""
    lease = record.lease
    silent = suspects and lease is not None and lease.leader != me
    return Take(record.version, record.sync.version, record.leader or "") if silent else None


def _untold(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Let the standby go on as soon as another leads, though its receiver still streams from the old one."""
    if fence.latch is not None and record.leader not in (None, fence.latch.leader):
        return Release()
    return decide(me, record, fence, suspects=suspects, gives_up=gives_up)


def _impatient(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Let the standby go on without a withdrawal that stands in the API."""
    action = decide(me, record, fence, suspects=suspects, gives_up=gives_up)
    return Release() if isinstance(action, Withdraw) else action


def _free_key(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Let the standby go on once the key is free, as if that were the end."""
    if fence.latch is not None and record.leader is None and gives_up:
        return Release()
    return decide(me, record, fence, suspects=suspects, gives_up=gives_up)


def _unverified(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Vote on the latch alone: a receiver that was there before it still streams."""
    action = decide(me, record, fence, suspects=suspects, gives_up=gives_up)
    if isinstance(action, Raise) and fence.latch == action.vote:
        return Publish(record.version, action.vote)
    return action


def _minority(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Count one vote fewer than Patroni's quorum asks for."""
    fewer = record.sync._replace(quorum=record.sync.quorum - 1)
    return decide(me, record._replace(sync=fewer), fence, suspects=suspects, gives_up=gives_up)


def _unheld(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Fence without holding the record, as the first witnesses did."""
    lease = record.lease
    if lease is not None:
        record = record._replace(sync=record.sync._replace(holds=dict.fromkeys(record.members, lease)))
    action = decide(me, record, fence, suspects=suspects, gives_up=gives_up)
    return None if isinstance(action, Unhold) else action


def _dropped(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Act on a `sync` record that no longer has all standbys, as Patroni's own race does, and hold none."""
    named = record._replace(members=record.sync.voters | {record.sync.leader or ""})
    return _unheld(me, named, fence, suspects=suspects, gives_up=gives_up)


# A record that is held stays whole and as it was: what a dropped standby or a missing seal loses shows only without.
_ONE = Budget(commits=1, renewals=0, terms=1, sync_steps=0, crashes=0)
CARELESS: dict[str, tuple[Rules, Budget]] = {
    "a careless detector": (Rules(_detector), _ONE),
    "released when another leads": (Rules(_untold), _ONE),
    "released without a withdrawal": (Rules(_impatient), _ONE),
    "released while the key is free": (Rules(_free_key), _ONE),
    "a vote on the latch alone": (Rules(_unverified), _ONE),
    "a vote too few": (Rules(_minority), _ONE),
    "a standby that Patroni dropped": (Rules(_dropped), _ONE._replace(sync_steps=2)),
    "the record is not held": (Rules(_unheld), _ONE._replace(renewals=1, sync_steps=2, deaths=1)),
    "the API server lets a held record be changed": (
        Rules(decide, holds=False),
        _ONE._replace(renewals=1, sync_steps=2, deaths=1),
    ),
    "told by a receiver's end": (Rules(decide, knows_whom=False), _ONE._replace(addresses=2)),
    "no latch": (Rules(decide, latch_holds=False), _ONE._replace(crashes=1)),
    "the sync record is neither sealed nor held": (Rules(_unheld, seals=False), _ONE._replace(sync_steps=3)),
}
