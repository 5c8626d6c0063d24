"""Positions in the write-ahead log: what has been written where, and how stale a replica can be. Pure.

A position is the number of bytes of WAL before it. Bytes are what can be compared between members; the age of the last
replayed transaction cannot: on an idle primary it grows although nothing is missing.
"""

import re
from collections import deque
from itertools import takewhile
from math import inf

Position = int

START: Position = 0
"""The position that every member has reached."""

POSITION = """
(SELECT at - CASE WHEN mod(at, pg_size_bytes(current_setting('wal_segment_size'))) = 40 THEN 40
                  WHEN mod(at, current_setting('wal_block_size')::bigint) = 24 THEN 24 ELSE 0 END
 FROM (SELECT (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
                    ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn)::bigint AS at) AS here)
"""
"""SQL: what the primary has written, or a replica has replayed.

At the start of a segment or a page the primary says where the next record would begin, behind a header of 40 or 24
bytes, and a replica where the last one ended, before it: on an idle primary it would never arrive.
"""

_LSN = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})")


def parse(text: str) -> Position:
    """Read a position as Postgres writes it, `16/B374D848`. Raises `ValueError`."""
    found = _LSN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a position such as 16/B374D848")
    return (int(found[1], 16) << 32) + int(found[2], 16)


def spelled(position: Position) -> str:
    """Write a position as Postgres does."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


class History:
    """Where the primary was, and when: from it follows how stale a member can be that has come to some position.

    Invariant: `staleness` is never too small. A sample's time is from before the primary was asked, so a member that
    has come to the sample's position has everything that was committed until that time.
    """

    def __init__(self, *, samples: int) -> None:
        self._samples: deque[tuple[float, Position]] = deque(maxlen=samples)

    @property
    def newest(self) -> Position | None:
        """Return the primary's last known position, or None if it was never asked."""
        return self._samples[-1][1] if self._samples else None

    def add(self, asked_at: float, position: Position) -> None:
        """Take a sample. A position below the one before it is a new history: another primary, or a restored one."""
        if self._samples and position < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((asked_at, position))

    def staleness(self, position: Position, now: float) -> float:
        """Return the seconds of commits that a member may lack that has come to `position`, at most."""
        return next((now - asked_at for asked_at, reached in reversed(self._samples) if reached <= position), inf)

    def is_beyond(self, position: Position, seen_at: float) -> bool:
        """Say whether `position`, seen at that time, is ahead of where the primary was later: it is of another log."""
        later = takewhile(lambda sample: sample[0] >= seen_at, reversed(self._samples))
        return any(reached < position for _, reached in later)
