"""What a witness does next. Pure: no I/O, no clock, no memory.

**Invariant.** An acknowledged write is on the member that is promoted, whoever is slow, frozen, thawed, cut off,
restarted or killed, witnesses included.

It rests on six rules; each is here or is what the action's name obliges the shell to.

1. *A vote binds.* Before a vote is published its standby is fenced: a latch on its own disk names the vote, so that no
   new WAL receiver starts whatever crashes, and the receiver that streams is stopped and seen to be stopped. The fence
   outlives its witness; a witness that starts finds the latch, and the vote in the API, and goes on from there.
2. *A vote is for one renewal of one lease.* It names the leader, its term (`acquireTime`) and the renewal (`renewTime`)
   that was seen. A leader that renews voids all votes by that alone, and no witness need be alive for it.
3. *Votes are kept where the key is.* Vote, withdrawal, renewal and take are compare-and-swaps of one object, so they
   have one order. A vote that is withdrawn or void when the key is taken makes the take fail. What is on its way when
   a witness dies lands on the version it was made for, or never.
4. *The votes are a quorum of the record that counts.* Patroni keeps `quorum + n >= |voters | S|`, where `n` of `S` must
   confirm a commit. More than `quorum` of the voters fenced leaves fewer than `n` of `S`: nothing is acknowledged. The
   taker writes to the `sync` object, at the version that it counted with, after it read the key and before it takes
   it: a change by the leader that was on its way fails, and one that was not needs a renewal first, which fails the
   take. And the record names all standbys: a commit may be on one alone that Patroni has since dropped, before the
   others had it (the explorer found this; see the decision).
5. *What a fenced standby may lack, no record may rely on.* Before a standby is fenced its witness holds the record, and
   lets go only when it has caught up with the leader again, or another leads. While it is held the API server refuses
   to let the leader change it. A leader that lives would else drop the one standby that has a commit, while the other
   stands still, and die: whom the record names is then promoted without it (a drill lost four writes that way).
6. *A fence ends only where it no longer matters*: its vote is void or withdrawn in the API; or the term is over and
   either the same leader is back (so none was promoted), or this standby's receiver has been told to end, by a
   promotion or to follow another, and dies before it confirms anything. While the key is free the fence stays.

So from the last counted fence until the term is decided the old leader acknowledges nothing, and Patroni's race
(which begins when the key is free) compares logs in which all that was acknowledged already stands.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Vote(NamedTuple):
    """What a vote, and the fence beneath it, is for: one renewal of one leader's lease, as the record spells it."""

    leader: str
    term: str
    renewal: str


class Mark(NamedTuple):
    """A member's vote as it stands in the API. A withdrawn one stays, so that none is cast twice for one renewal."""

    vote: Vote
    withdrawn: bool = False


class Sync(NamedTuple):
    """Patroni's `sync` record: whose logs the race compares, and how many beside the candidate must agree.

    `holds`: by member, the lease for which its witness holds the record.
    """

    version: str
    leader: str | None
    voters: frozenset[str]
    quorum: int
    holds: Mapping[str, Vote]


class Record(NamedTuple):
    """The object that holds the leader's key, with what witnesses wrote on it, and the `sync` record.

    `leader` is None while the key is free; `term` and `renewal` are then those of the last leader. A witness sees
    versions in their order, though any of them late.
    """

    version: str
    leader: str | None
    term: str
    renewal: str
    suspects: Mapping[str, str]  # by member, the term in which it finds the leader silent
    marks: Mapping[str, Mark]
    sync: Sync
    members: frozenset[str]  # all that the stack declares, the leader among them

    @property
    def lease(self) -> Vote | None:
        """Return what a vote against the present leader would be for."""
        return None if self.leader is None else Vote(self.leader, self.term, self.renewal)


class Fence(NamedTuple):
    """The state of this member's standby, read from its disk and the kernel: it is there after any restart.

    `latch` is what the latch names. `stopped`: a receiver is alive and stopped, or none is and Postgres's startup
    process waits at this latch, so that none comes. `told`: a receiver will end before it confirms anything, and none
    that comes after it streams from the latch's leader, whatever this member's Patroni knew of that one before.
    `caught_up`: without a latch, it has all that the leader had flushed at some time since there was one.
    """

    latch: Vote | None = None
    stopped: bool = False
    told: bool = False
    caught_up: bool = False


class Suspect(NamedTuple):
    """Write that the leader is silent. Nothing rests on it, so it needs no version and bears no vote's order."""

    term: str


class Clear(NamedTuple):
    """Take the suspicion back."""


class Hold(NamedTuple):
    """Hold the record: write to the `sync` object, at `version`, for which lease."""

    version: str
    vote: Vote


class Unhold(NamedTuple):
    """Let the record go: write that to the `sync` object at `version`."""

    version: str


class Raise(NamedTuple):
    """Write the latch so that it survives a power loss, then stop the receiver where it waits."""

    vote: Vote


class Publish(NamedTuple):
    """Write the vote at `version`."""

    version: str
    vote: Vote


class Withdraw(NamedTuple):
    """Mark the vote as withdrawn at `version`, whether or not it ever came to stand there."""

    version: str
    vote: Vote


class Take(NamedTuple):
    """Write to the `sync` object at `sync_version`; only if that succeeds, free the key at `version`."""

    version: str
    sync_version: str
    leader: str


class Release(NamedTuple):
    """Remove the latch, let the receiver go on."""


Action = Suspect | Clear | Hold | Unhold | Raise | Publish | Withdraw | Take | Release


def decide(me: str, record: Record, fence: Fence, *, suspects: bool, gives_up: bool) -> Action | None:
    """Return what the witness of `me` does next, or None to wait for news.

    `suspects`: its own probes find the record's leader silent now. `gives_up`: its fence has stood for as long as a
    standby may stand still for nothing. Neither is trusted for safety; both may be wrong at any time.
    """
    if fence.latch is not None:
        return _fenced(me, record, fence, fence.latch, gives_up=gives_up or not suspects)
    lease = record.lease
    if lease is None or lease.leader == me or not suspects:
        return Clear() if me in record.suspects else _let_go(me, record, fence)
    if record.suspects.get(me) != lease.term:
        return Suspect(lease.term)
    spent = me in record.marks and record.marks[me].vote == lease
    agreed = frozenset(member for member, term in record.suspects.items() if term == lease.term)
    if spent or me not in record.sync.voters or not _is_quorum(agreed, lease, record):
        return None
    # Written for this very lease, so that no letting go that is on its way from before can still succeed.
    return Raise(lease) if record.sync.holds.get(me) == lease else Hold(record.sync.version, lease)


def _let_go(me: str, record: Record, fence: Fence) -> Action | None:
    """Let go of the record once it is another's, or the leader has renewed and this standby lacks nothing any more."""
    held = record.sync.holds.get(me)
    if held is None:
        return None
    is_others = record.sync.leader != held.leader
    is_whole = fence.caught_up and record.leader == held.leader and record.lease != held
    return Unhold(record.sync.version) if is_others or is_whole else None


def _fenced(me: str, record: Record, fence: Fence, vote: Vote, *, gives_up: bool) -> Action | None:
    if record.lease == vote:
        return _in_term(me, record, fence, vote, gives_up=gives_up)
    if record.leader == vote.leader:
        return Release()
    return Release() if fence.told and record.term != vote.term else None


def _in_term(me: str, record: Record, fence: Fence, vote: Vote, *, gives_up: bool) -> Action | None:
    """Go on with a fence whose lease still stands as it did: publish the vote, take the key, or withdraw."""
    mark = record.marks.get(me)
    if mark == Mark(vote, withdrawn=True):
        return Release()
    if gives_up:
        return Withdraw(record.version, vote)
    if mark != Mark(vote):
        return Publish(record.version, vote) if fence.stopped else Raise(vote)
    fenced = frozenset(member for member, theirs in record.marks.items() if theirs == mark)
    fenced &= frozenset(member for member, theirs in record.sync.holds.items() if theirs == vote)
    return Take(record.version, record.sync.version, vote.leader) if _is_quorum(fenced, vote, record) else None


def _is_quorum(members: frozenset[str], lease: Vote, record: Record) -> bool:
    """Tell whether so many of the voters leave too few others to confirm, and whatever was confirmed is among them."""
    sync = record.sync
    is_whole = sync.leader == lease.leader and sync.voters == record.members - {lease.leader}
    return is_whole and len(members & sync.voters) > sync.quorum
