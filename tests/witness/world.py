"""A small cluster as a state machine: what Postgres, Patroni, the API and the witnesses' shells may do next.

The primary `a` commits, the standbys `b` and `c` stream. Every step of every process is one transition and any of them
may be the next, so that a process that is frozen, starved or cut off is one whose steps come late or never, and a
message that is delayed or lost one that is delivered late or never. Suspicion is arbitrary: at any step a witness may
find the leader silent, or not, or all of them agreed that it is, or give up; so what they publish of it need not be
followed. A witness has no memory: one that dies and comes back is one that waits, and what it had sent still lands.

What the model trusts is what it says of Patroni (4.0, quorum mode): the order in which a leader changes `S` and the
`sync` record, that it writes there only in a cycle that began with its own renewal, how the race counts, and that it
takes the key only if the leader's annotations are those with which its check began; and that a standby which was not
stopped by a witness has what another had confirmed by the time that Patroni has dropped that other. The lease's own
expiry rests on clocks and is Patroni's; a key is given up only by a leader whose server is dead.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from tests.witness.sight import NAMES, record_of, vote_of
from tests.witness.states import (
    ADDRESSES,
    ALL,
    BITS,
    CRASHES,
    DEATHS,
    ELSEWHERE,
    FOLLOWS_A,
    FOLLOWS_NEW,
    FREE,
    NOBODY,
    NONE,
    PASSED,
    RENEWALS,
    STOPPED,
    STREAMS,
    SYNC_STEPS,
    TERMS,
    Flying,
    Key,
    Lease,
    Standby,
    State,
    at,
    is_over,
    settled,
    spend,
    with_standby,
    write_key,
    write_sync,
)
from witness.core import (
    Action,
    Clear,
    Fence,
    Hold,
    Publish,
    Raise,
    Release,
    Suspect,
    Take,
    Unhold,
    Withdraw,
)

Decide = Callable[..., Action | None]


class Rules(NamedTuple):
    """Who decides, and which of the shell's duties are kept. The defaults keep all."""

    decide: Decide
    latch_holds: bool = True
    seals: bool = True
    holds: bool = True
    knows_whom: bool = True  # a standby is told once it follows another leader, not when its receiver has to end


Step = tuple[str, State]


def steps(state: State, rules: Rules) -> Iterator[Step]:
    """Return every next step by its name, and where it leads."""
    for name, after in _raw_steps(state, rules):
        yield name, settled(after)


def _raw_steps(state: State, rules: Rules) -> Iterator[Step]:
    if is_over(state):
        return
    yield from _dead(state) if state.dead else _primary(state, rules)
    for index in (0, 1):
        if not state.standbys[index].promoted:
            yield from _postgres(state, index, rules)
            yield from _patroni(state, index)
            yield from _witness(state, index, rules)


def _dead(state: State) -> Iterator[Step]:
    if state.key.leader == 0:
        yield "a's Patroni gives the key up", write_key(state, state.key._replace(leader=FREE))


def _primary(state: State, rules: Rules) -> Iterator[Step]:
    key = state.key
    if state.left[DEATHS]:
        yield "a's server dies", spend(state, DEATHS)._replace(dead=True)
    if not state.loaded and state.left[SYNC_STEPS]:
        yield "a's Patroni reads the sync record", state._replace(loaded=True)
    if key.leader == 0 and state.left[RENEWALS]:
        renewed = write_key(spend(state, RENEWALS), key._replace(renewal=key.renewal + 1))
        yield "a renews its lease", renewed._replace(may_write_sync=state.loaded)
    if key.leader == FREE and state.left[TERMS]:
        retaken = key._replace(leader=0, term=key.term + 1, renewal=key.renewal + 1)
        yield (
            "a takes the free key again",
            write_key(spend(state, TERMS), retaken)._replace(loaded=True, may_write_sync=True),
        )
    if state.left[SYNC_STEPS]:
        yield from _sync_changes(state, rules)


def _sync_changes(state: State, rules: Rules) -> Iterator[Step]:
    """Let a's Patroni change S and the record in its own order: first S when one leaves, first the record else."""
    voters, synchronous = state.key.voters, state.synchronous
    spent = spend(state, SYNC_STEPS)
    may_write = state.may_write_sync and not (rules.holds and any(state.key.holds))
    for bit in BITS:
        rest = ALL & ~bit
        if voters == synchronous == ALL:
            yield f"a sets S to {_set(rest)}", spent._replace(synchronous=rest)
        if voters == rest and synchronous == rest and may_write:
            yield "a writes the sync record: both", write_sync(spent, ALL)
        if voters == ALL and synchronous == rest and may_write and _seems_whole(state, BITS.index(rest)):
            yield f"a writes the sync record: {_set(rest)}", write_sync(spent, rest)
        if voters == ALL and synchronous == rest:
            yield "a sets S to both", spent._replace(synchronous=ALL)
    if voters and voters == synchronous and may_write:
        yield "a writes the sync record: none", write_sync(spent, 0)
    if voters == 0 and synchronous:
        yield "a sets S to none", spent._replace(synchronous=0)


def _seems_whole(state: State, index: int) -> bool:
    """Tell whether Patroni may find a standby caught up; one that was stopped may seem so long after it was."""
    return state.standbys[index].owes or state.standbys[index].wal >= state.acknowledged


def _postgres(state: State, index: int, rules: Rules) -> Iterator[Step]:
    standby, name = state.standbys[index], NAMES[index + 1]
    if standby.receiver == STREAMS and standby.wal < state.wal and not state.dead:
        yield f"{name} writes commit {standby.wal + 1}", with_standby(state, index, wal=standby.wal + 1)
    if standby.receiver == STREAMS and standby.confirmed < standby.wal:
        yield f"{name} confirms up to {standby.wal}", with_standby(state, index, confirmed=standby.wal)
    if standby.receiver in (PASSED, STREAMS, STOPPED) and state.left[CRASHES]:
        crashed = with_standby(spend(state, CRASHES), index, receiver=NONE, ends=False)
        yield f"{name}'s Postgres crashes, its receiver is gone", crashed
    follows_a = standby.receiver == NONE and standby.follows == FOLLOWS_A
    if follows_a and (standby.latch is None or not rules.latch_holds):
        yield f"{name} finds no latch", with_standby(state, index, receiver=PASSED)
    if standby.receiver == PASSED:
        yield f"{name} starts a receiver", with_standby(state, index, receiver=STREAMS)


def _patroni(state: State, index: int) -> Iterator[Step]:
    standby, name, key, me = state.standbys[index], NAMES[index + 1], state.key, index + 1
    is_new = standby.follows == FOLLOWS_NEW
    if key.leader == me and not _is_fenced(standby):
        yield f"{name} is promoted", with_standby(state, index, promoted=True, receiver=ELSEWHERE)
    elif key.leader == me and not is_new:
        yield f"{name} is told to promote, and waits for its receiver", _turned(state, index, FOLLOWS_NEW)
    elif key.leader > 0 and not is_new:
        yield f"{name} is told to follow {NAMES[key.leader]}", _turned(state, index, FOLLOWS_NEW)
    if not is_new and state.left[ADDRESSES]:
        known = standby.follows == FOLLOWS_A
        turned = _turned(spend(state, ADDRESSES), index, NOBODY if known else FOLLOWS_A)
        yield f"{name}'s Patroni {'no longer knows' if known else 'knows again'} where a is", turned
    if key.leader == FREE:
        yield from _race(state, index)


def _is_fenced(standby: Standby) -> bool:
    return standby.receiver == STOPPED or (standby.receiver == NONE and standby.latch is not None)


def _turned(state: State, index: int, follows: int) -> State:
    """Load whom to follow: a receiver ends by it, at once or, if it is stopped, when it goes on."""
    standby = state.standbys[index]
    if standby.receiver == STOPPED:
        return with_standby(state, index, follows=follows, ends=True)
    fenced = _is_fenced(standby)
    receiver = ELSEWHERE if follows == FOLLOWS_NEW and not fenced else NONE
    return with_standby(state, index, follows=follows, receiver=receiver)


def _race(state: State, index: int) -> Iterator[Step]:
    standby, name, key, me = state.standbys[index], NAMES[index + 1], state.key, index + 1
    race = standby.race
    if race is None:
        begun = (key.term, key.renewal, standby.wal, key.voters, False)
        yield f"{name} enters the race with commit {standby.wal}", with_standby(state, index, race=begun)
        return
    other = state.standbys[1 - index]
    wants_other = race[3] & BITS[1 - index]
    if not race[4] and race[3] and (not wants_other or other.wal <= race[2]):
        asked = f", and {NAMES[2 - index]} is not ahead" if wants_other else ""
        yield f"{name} has a quorum{asked}", with_standby(state, index, race=(*race[:4], True))
    if race[4] and state.left[TERMS]:
        taken = key._replace(leader=me, term=key.term + 1, renewal=key.renewal + 1)
        yield f"{name} takes the free key", write_key(spend(state, TERMS), taken)


def _witness(state: State, index: int, rules: Rules) -> Iterator[Step]:
    standby, name = state.standbys[index], NAMES[index + 1]
    if not (standby.seen_key_is_last and standby.seen_sync_is_last):
        yield f"{name}'s witness sees the news", _refreshed(state, index)
    for flying in standby.in_flight:
        yield _landed(state, index, *flying)
    if standby.ends:
        yield f"{name}'s receiver goes on, and ends", with_standby(state, index, receiver=NONE, ends=False)
    for action in _decided(state, standby, name, rules):
        if (step := _acted(state, index, action, rules)) is not None:
            yield step


def _decided(state: State, standby: Standby, name: str, rules: Rules) -> tuple[Action, ...]:
    stopped = _is_fenced(standby)  # one that had passed the latch is PASSED
    may_end = standby.ends or standby.receiver != STOPPED
    told = may_end and standby.follows == FOLLOWS_NEW
    if not rules.knows_whom:
        told = standby.ends or (standby.receiver != STOPPED and standby.follows != FOLLOWS_A)
    caught_up = standby.latch is None and standby.receiver == STREAMS and standby.wal == state.wal
    fence = Fence(vote_of(standby.latch), stopped=stopped, told=told, caught_up=caught_up)
    return _choices(standby.seen, fence, name, rules.decide)


@cache
def _choices(seen: Key, fence: Fence, name: str, decide: Decide) -> tuple[Action, ...]:
    """Return what the core may do, whatever its probes and its patience say."""
    record = record_of(seen)
    opinions = ((True, False), (False, False), (True, True)) if seen.leader <= 0 else ((False, False),)
    found = (decide(name, record, fence, suspects=silent, gives_up=gives_up) for silent, gives_up in opinions)
    kept = (action for action in found if action is not None and not isinstance(action, Suspect | Clear))
    return tuple(dict.fromkeys(kept))


def _acted(state: State, index: int, action: Action, rules: Rules) -> Step | None:
    """Do what the core decided: on the standby at once, in the API by sending a compare-and-swap."""
    standby, name = state.standbys[index], NAMES[index + 1]
    if isinstance(action, Raise):
        return _raised(state, index, (int(action.vote.term), int(action.vote.renewal)))
    if isinstance(action, Release):
        receiver = standby.receiver
        if _is_fenced(standby):
            goes_on = receiver == STOPPED and not standby.ends
            receiver = ELSEWHERE if standby.follows == FOLLOWS_NEW else STREAMS if goes_on else NONE
        free = with_standby(state, index, latch=None, ends=False, receiver=receiver)
        return f"{name}'s witness releases its fence", free
    what = "sync" if isinstance(action, Hold | Unhold) else "key"
    if isinstance(action, Take) and rules.seals:
        what = "seal"
    flying = _sent(standby.in_flight, (what, action))
    is_old = (what != "sync" and not standby.seen_key_is_last) or (what != "key" and not standby.seen_sync_is_last)
    if is_old or flying == standby.in_flight:
        return None
    return f"{name}'s witness sends {type(action).__name__}", with_standby(state, index, in_flight=flying)


def _raised(state: State, index: int, lease: Lease) -> Step | None:
    standby, name = state.standbys[index], NAMES[index + 1]
    if standby.latch != lease:
        return f"{name}'s witness writes the latch", with_standby(state, index, latch=lease)
    if standby.receiver == STREAMS:
        return f"{name}'s witness stops the receiver", with_standby(state, index, receiver=STOPPED, owes=True)
    return None


def _landed(state: State, index: int, what: str, action: Action) -> Step:
    """Let a compare-and-swap that is on its way succeed."""
    key, name = state.key, NAMES[index + 1]
    if what == "sync":
        held = (int(action.vote.term), int(action.vote.renewal)) if isinstance(action, Hold) else None
        written = state._replace(key=key._replace(holds=at(key.holds, index, held)))
        after = write_sync(written, key.voters)._replace(may_write_sync=False, loaded=False)
        return f"{name}'s witness {'lets go of' if held is None else 'holds'} the record", after
    if what == "seal":
        sealed = write_sync(state, key.voters)._replace(may_write_sync=False, loaded=False)
        flying = _sent(sealed.standbys[index].in_flight, ("key", action))
        return f"{name}'s witness writes to the sync object", with_standby(sealed, index, in_flight=flying)
    if isinstance(action, Take):
        return f"{name}'s witness takes the key away", write_key(state, key._replace(leader=FREE))
    assert isinstance(action, Publish | Withdraw)
    mark = (int(action.vote.term), int(action.vote.renewal), isinstance(action, Withdraw))
    marked = key._replace(marks=at(key.marks, index, mark))
    return f"{name}'s vote is {'withdrawn' if mark[2] else 'published'}", write_key(state, marked)


def _sent(in_flight: tuple[Flying, ...], flying: Flying) -> tuple[Flying, ...]:
    """Send once more what may be on its way already; twice the same is no more than once."""
    return tuple(sorted({*in_flight, flying}, key=repr))


def _refreshed(state: State, index: int) -> State:
    return with_standby(state, index, seen=state.key, seen_key_is_last=True, seen_sync_is_last=True)


def _set(members: int) -> str:
    return " and ".join(name for bit, name in zip(BITS, NAMES[1:], strict=True) if members & bit) or "none"
