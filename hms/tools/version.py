"""A tool's version, and the range of versions that serve."""

import re
from dataclasses import dataclass

from hms.errors import UsageError

Version = tuple[int, ...]

_CONDITION = re.compile(r"(>=|<|==)(\d+(?:\.\d+)*)")


def parse_version(text: str) -> Version:
    """Return the numbers of `1.34.4` or `v1.34.4`; `UsageError` for anything else."""
    bare = text.removeprefix("v")
    if not re.fullmatch(r"\d+(\.\d+)*", bare):
        raise UsageError(f"version {text!r}: not numbers between dots")
    return tuple(int(part) for part in bare.split("."))


@dataclass(frozen=True, slots=True)
class Range:
    """Conditions that a version must all meet, written `>=1.33,<1.36` or `==0.9.0`.

    Missing parts count as 0, so that `1.34` is `1.34.0`.
    """

    text: str
    conditions: tuple[tuple[str, Version], ...]

    @classmethod
    def parse(cls, text: str) -> "Range":
        """Read a range; `UsageError` names the condition that is none."""
        conditions = []
        for part in text.split(","):
            match = _CONDITION.fullmatch(part.strip())
            if match is None:
                raise UsageError(f"version range {text!r}: {part.strip()!r} is not >=, < or == and a version")
            conditions.append((match[1], parse_version(match[2])))
        return cls(text, tuple(conditions))

    def accepts(self, version: str) -> bool:
        """Say whether `version` meets every condition."""
        numbers = parse_version(version)
        return all(_holds(numbers, operator, bound) for operator, bound in self.conditions)


def _holds(version: Version, operator: str, bound: Version) -> bool:
    width = max(len(version), len(bound))
    left = version + (0,) * (width - len(version))
    right = bound + (0,) * (width - len(bound))
    if operator == ">=":
        return left >= right
    return left < right if operator == "<" else left == right
