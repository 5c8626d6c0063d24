"""Which member a read goes to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

K = TypeVar("K")


class Choice(Enum):
    """Why a member was chosen: a replica fresh enough, the primary, or a replica because nobody else is left."""

    REPLICA = "replica"
    PRIMARY = "primary"
    STALE = "stale replica"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A member that could be asked.

    `reached`: it has come to the position that the read needs. `parted`: its log is not the primary's. `load` is the
    number of those who use it or wait for it.
    """

    primary: bool
    staleness_seconds: float
    position: int
    reached: bool
    parted: bool
    load: int


def choose(
    readers: Mapping[K, Reader], *, most_stale_seconds: float, fresh: bool, turn: int
) -> tuple[K, Choice] | None:
    """Return the reader for a read and why it is the one, or None if none may answer.

    The least loaded replica that is fresh enough, else the primary; the primary first if the read is to be `fresh`. If
    there is neither, the replica that has come the furthest. Never a replica that has not reached what the read
    needs, or whose log has parted. Equal ones take turns.
    """
    replicas = {key: reader for key, reader in readers.items() if not reader.primary and reader.reached}
    sound = {key: reader for key, reader in replicas.items() if not reader.parted}
    near = [key for key, reader in sound.items() if reader.staleness_seconds <= most_stale_seconds]
    primary = next((key for key, reader in readers.items() if reader.primary), None)
    if primary is not None and (fresh or not near):
        return primary, Choice.PRIMARY
    if near:
        lightest = min(sound[key].load for key in near)
        light = [key for key in near if sound[key].load == lightest]
        return light[turn % len(light)], Choice.REPLICA
    if sound:
        return max(sound, key=lambda key: sound[key].position), Choice.STALE
    return None
