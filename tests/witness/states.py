"""The states of a small cluster: a primary `a`, standbys `b` and `c`, the API's two objects, a witness each.

A compare-and-swap that is on its way is dropped when its object is written: versions only grow, so it can only fail.
"""

from typing import Any, NamedTuple, TypeVar

from witness.core import Action

FREE = -1  # the key is nobody's
NONE, PASSED, STREAMS, STOPPED, ELSEWHERE = range(5)  # the WAL receiver; PASSED: the latch was looked for, and absent
ALL, BITS = 3, (1, 2)  # the standbys as a set: bit 1 is b, bit 2 is c
FOLLOWS_A, NOBODY, FOLLOWS_NEW = range(3)  # whom the server has loaded to follow; NEW: another, or to promote
RENEWALS, TERMS, SYNC_STEPS, CRASHES, DEATHS, ADDRESSES = range(6)  # what is counted in `left`

T = TypeVar("T")
Lease = tuple[int, int]  # term, renewal
Flying = tuple[str, Action]  # which object it writes: the `key`, the `sync` record, or with a `seal` both in turn
MarkOf = tuple[int, int, bool] | None  # of a vote: term, renewal, whether it is withdrawn


class Key(NamedTuple):
    """The leader's object, and the voters and the holds of the `sync` record."""

    leader: int
    term: int
    renewal: int
    marks: tuple[MarkOf, MarkOf]
    voters: int
    holds: tuple[Lease | None, Lease | None] = (None, None)


class Standby(NamedTuple):
    """A standby, its Patroni, and the witness beside it."""

    wal: int
    confirmed: int
    receiver: int
    latch: Lease | None
    follows: int
    ends: bool  # SIGTERM is pending on its stopped receiver
    owes: bool  # it was fenced, and has not caught up since
    seen: Key
    seen_key_is_last: bool
    seen_sync_is_last: bool
    in_flight: tuple[Flying, ...]  # actions whose compare-and-swap may still succeed
    race: tuple[int, int, int, int, bool] | None  # term, renewal, own log, voters when it began; the check was passed
    promoted: bool


class State(NamedTuple):
    """All of it. `left` counts what may still happen."""

    key: Key
    synchronous: int  # S in the primary's own configuration, of which one confirms
    wal: int  # written from the start, since a standby may come to it as late as it likes
    acknowledged: int  # as early as may be: later acknowledgements lose no more
    loaded: bool  # a's Patroni has read the `sync` record as it is
    may_write_sync: bool  # and renewed its lease since
    standbys: tuple[Standby, Standby]
    left: tuple[int, ...]
    dead: bool = False  # a's server has ended for good, though its Patroni may still have the key


class Budget(NamedTuple):
    """How often each may happen in one history."""

    commits: int = 2
    renewals: int = 1
    terms: int = 2
    sync_steps: int = 2
    crashes: int = 1
    deaths: int = 0
    addresses: int = 0


_NOTHING = Key(0, 0, 0, (None, None), ALL)


def start(budget: Budget) -> State:
    """Return a cluster at rest: a leads, b and c stream and are the voters, any one of them confirms a commit."""
    key = Key(0, 0, 0, (None, None), ALL)
    standby = Standby(0, 0, STREAMS, None, FOLLOWS_A, False, False, key, True, True, (), None, False)
    left = (budget.renewals, budget.terms, budget.sync_steps, budget.crashes, budget.deaths, budget.addresses)
    return State(key, ALL, budget.commits, 0, True, True, (standby, standby), left)


def settled(state: State) -> State:
    """Acknowledge what may be, and forget what no longer matters to any step."""
    confirmed = [s.confirmed for bit, s in zip(BITS, state.standbys, strict=True) if state.synchronous & bit]
    acknowledged = state.acknowledged if state.dead else max(state.acknowledged, max(confirmed, default=state.wal))
    standbys = (_forgotten(state, 0), _forgotten(state, 1))
    changes = bool(state.left[SYNC_STEPS])
    return state._replace(
        acknowledged=acknowledged,
        standbys=standbys,
        loaded=state.loaded and changes,
        may_write_sync=state.may_write_sync and changes,
    )


def _forgotten(state: State, index: int) -> Standby:
    """Forget a race that is over, the witness of a primary, a debt that is paid, what only a take would read."""
    key, standby, other = state.key, state.standbys[index], 1 - index
    if standby.promoted:
        return standby._replace(
            seen=_NOTHING, seen_key_is_last=True, seen_sync_is_last=True, in_flight=(), race=None, owes=False,
            follows=FOLLOWS_NEW, ends=False,
        )  # fmt: skip
    if standby.race is not None and (key.leader != FREE or standby.race[:2] != (key.term, key.renewal)):
        standby = standby._replace(race=None)
    if not standby.seen_key_is_last and standby.seen.marks[other] is not None:
        marks = at(standby.seen.marks, other, None)
        standby = standby._replace(seen=standby.seen._replace(marks=marks))
    if standby.owes and standby.receiver == STREAMS and standby.wal == state.wal:
        standby = standby._replace(owes=False)
    return standby


def loses(state: State) -> bool:
    """Tell whether a member was promoted that will never have a commit that is acknowledged."""
    return any(standby.promoted and standby.wal < state.acknowledged for standby in state.standbys)


def is_over(state: State) -> bool:
    """Tell whether nothing can be lost any more: the one promoted member has all that was ever written."""
    return any(standby.promoted and standby.wal == state.wal for standby in state.standbys)


def fingerprint(state: State) -> int:
    """Return 64 bits that are the same for two states that differ only in which standby is called b."""
    return min(hash(state), hash(_swapped(state)))


def _swapped(state: State) -> State:
    def bits(members: int) -> int:
        return (members >> 1 & 1) | (members & 1) << 1

    def key(of: Key) -> Key:
        leader = {1: 2, 2: 1}.get(of.leader, of.leader)
        return of._replace(leader=leader, marks=of.marks[::-1], voters=bits(of.voters), holds=of.holds[::-1])

    def standby(of: Standby) -> Standby:
        race = of.race and (*of.race[:3], bits(of.race[3]), of.race[4])
        return of._replace(seen=key(of.seen), race=race)

    first, second = state.standbys
    pair = (standby(second), standby(first))
    return state._replace(key=key(state.key), synchronous=bits(state.synchronous), standbys=pair)


def write_key(state: State, key: Key) -> State:
    """Write the leader's object: whoever has read it before has an old version, and what was on its way fails."""
    first, second = (
        s._replace(seen_key_is_last=False, in_flight=tuple(action for action in s.in_flight if action[0] == "sync"))
        for s in state.standbys
    )
    return state._replace(key=key, standbys=(first, second))


def write_sync(state: State, voters: int) -> State:
    """Write the `sync` object: who has read it before can no longer write there, nor take the key on its account."""

    def kept(standby: Standby) -> tuple[Flying, ...]:
        return tuple(action for action in standby.in_flight if action[0] == "key")

    first, second = (s._replace(seen_sync_is_last=False, in_flight=kept(s)) for s in state.standbys)
    return state._replace(key=state.key._replace(voters=voters), standbys=(first, second))


def spend(state: State, what: int) -> State:
    left = list(state.left)
    left[what] -= 1
    return state._replace(left=tuple(left))


def with_standby(state: State, index: int, **changes: Any) -> State:
    changed = state.standbys[index]._replace(**changes)
    return state._replace(standbys=at(state.standbys, index, changed))


def at(pair: tuple[T, T], index: int, value: T) -> tuple[T, T]:
    return (value, pair[1]) if index == 0 else (pair[0], value)
