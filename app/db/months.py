"""The months of the search log: pure arithmetic over UTC.

Invariants of `plan`: it never makes a month that is there, never retires one that it would make, and applied twice at
the same moment it asks for nothing the second time.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

_TABLE = re.compile(r"search_logs_(\d{4})_(0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of UTC, which begins with its first moment and ends before the first one of the next."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """Return the month in which `moment` falls. Raises `ValueError` for one without a time zone."""
        if moment.tzinfo is None:
            raise ValueError(f"{moment.isoformat()} has no time zone, so no month of UTC")
        utc = moment.astimezone(UTC)
        return cls(utc.year, utc.month)

    @classmethod
    def of_table(cls, name: str) -> "Month | None":
        """Return the month whose partition is called `name`, or None if no partition is."""
        found = _TABLE.fullmatch(name)
        return cls(int(found[1]), int(found[2])) if found else None

    def plus(self, months: int) -> "Month":
        """Return the month that is `months` later, or earlier where it is negative."""
        years, index = divmod(self.year * 12 + self.number - 1 + months, 12)
        return Month(years, index + 1)

    @property
    def start(self) -> datetime:
        """Return its first moment."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """Return the first moment that is no more in it."""
        return self.plus(1).start

    @property
    def table(self) -> str:
        """Name the partition that holds it."""
        return f"search_logs_{self.year:04}_{self.number:02}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the partitions: months to make, and months to retire, each in order."""

    make: tuple[Month, ...]
    retire: tuple[Month, ...]


def plan(there: Iterable[Month], *, now: datetime, ahead: int, keep: int) -> Plan:
    """Say what is to be done, so that the month of `now` and `ahead` more are there, and `keep` whole ones before it.

    A month later than those that are made ahead is left alone: a clock that was wrong made it, and time will use it.
    """
    current = Month.of(now)
    known = set(there)
    wanted = [current.plus(n) for n in range(ahead + 1)]
    oldest = current.plus(-keep)
    return Plan(
        make=tuple(month for month in wanted if month not in known),
        retire=tuple(sorted(month for month in known if month < oldest)),
    )
