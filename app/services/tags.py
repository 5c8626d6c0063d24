"""What a kept answer depends on: tags, their versions, and which tag depends on which. Pure.

A tag's version is a number and a position of the database's log, `1795470791011161@83886080`. The number never goes
back (see `app.services.scripts`); who computes under a version reads from a member that has come to its position, so
that a replica that lags behind the change that raised the version cannot bring the old state back under the new one.
"""

from collections.abc import Iterable
from enum import Enum

from app.db.wal import START, Position


class Tag(Enum):
    """What an answer of the service depends on: the answers of which route, on what these depend, and everything."""

    CODES = "codes"
    SEARCH = "search"
    RELEASE = "release"
    EVERYTHING = "everything"


EVERYTHING = Tag.EVERYTHING.value
"""The tag that every answer depends on."""

_DEPENDS_ON = {Tag.CODES.value: Tag.RELEASE.value, Tag.SEARCH.value: Tag.RELEASE.value}

PREFIX = "app:tag:"


def closure(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags and all that they depend on, each once, in order of name.

    A tag `family:member` depends on `family`; a family depends on what is declared here, else on everything.
    """
    found = {EVERYTHING}
    for name in tags:
        tag: str | None = name
        while tag is not None and tag != EVERYTHING:
            found.add(tag)
            family, colon, _ = tag.rpartition(":")
            tag = family if colon else _DEPENDS_ON.get(tag, EVERYTHING)
    return tuple(sorted(found))


def position_of(stamp: str) -> Position:
    """Return the furthest position in a stamp, which is the versions of some tags with a comma between."""
    return max((int(version.rpartition("@")[2]) for version in stamp.split(",") if version), default=START)
