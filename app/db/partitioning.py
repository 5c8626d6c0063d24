"""The partitions of the codes: 19 half-open ranges of the code's first letter.

Invariant: every code whose first character is a letter A to Z falls in exactly one partition. Bounds are half-open
because closed ones that look natural ('A00' to 'B99Z') lose codes; there is no default partition, so that a code
outside is refused and none is hidden. Letters share a partition where they share a chapter, or where one alone is
small; [S,U), injuries, holds 55 % of the rows.
"""

from dataclasses import dataclass
from itertools import pairwise

from app.errors import OutOfRangeError

_BOUNDS = ("A", "C", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "U", "Z", "[")


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of `icd10_codes`: the codes from `lower` up to, and without, `upper`, in byte order."""

    lower: str
    upper: str

    @property
    def table(self) -> str:
        """Name the partition's table."""
        last = chr(ord(self.upper) - 1)
        letters = self.lower if last == self.lower else f"{self.lower}_{last}"
        return f"icd10_codes_{letters.lower()}"

    def holds(self, code: str) -> bool:
        """Say whether `code` falls in this partition."""
        return self.lower <= code < self.upper


PARTITIONS = tuple(Partition(lower, upper) for lower, upper in pairwise(_BOUNDS))


_CHAPTERS = "ACDEFGHHIJKLMNOPQRSVZU"
"""A letter of each chapter, the first chapter first; the letters of a chapter are all in one partition."""

CHAPTERS = {
    number: next(each for each in PARTITIONS if each.holds(letter)) for number, letter in enumerate(_CHAPTERS, 1)
}
"""The one partition in which the codes of each chapter are."""


def partition_of(code: str) -> Partition:
    """Return the one partition in which the canonical `code` falls. Raises `OutOfRangeError` where there is none."""
    for partition in PARTITIONS:
        if partition.holds(code):
            return partition
    raise OutOfRangeError(f"code {code!r} falls in no partition: its first character must be a letter A to Z")
