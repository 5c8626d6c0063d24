"""A state of the model as the core reads it from the API."""

from functools import cache

from tests.witness.states import BITS, FREE, Key, Lease
from witness.core import Mark, Record, Sync, Vote

NAMES = ("a", "b", "c")


@cache
def vote_of(lease: Lease | None) -> Vote | None:
    return None if lease is None else Vote("a", str(lease[0]), str(lease[1]))


@cache
def record_of(key: Key) -> Record:
    """Return the record as the core reads it. Versions are the model's own affair: a write from an old one fails."""
    voters = frozenset(name for bit, name in zip(BITS, NAMES[1:], strict=True) if key.voters & bit)
    marks = zip(NAMES[1:], key.marks, strict=True)
    holds = {
        name: Vote("a", str(h[0]), str(h[1])) for name, h in zip(NAMES[1:], key.holds, strict=True) if h is not None
    }
    return Record(
        "",
        None if key.leader == FREE else NAMES[key.leader],
        str(key.term),
        str(key.renewal),
        dict.fromkeys(NAMES, str(key.term)),
        {name: Mark(Vote("a", str(m[0]), str(m[1])), withdrawn=m[2]) for name, m in marks if m is not None},
        Sync("", "a", voters, max(len(voters) - 1, 0), holds),
        frozenset(NAMES),
    )
