"""The time that a request still has."""

from time import monotonic


class Deadline:
    """A point of monotonic time, computed once, from which every wait of a request takes its bound."""

    __slots__ = ("at",)

    def __init__(self, *, seconds: float) -> None:
        self.at = monotonic() + seconds

    @property
    def remaining_seconds(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self.at - monotonic())

    @property
    def passed(self) -> bool:
        """Say whether nothing is left."""
        return monotonic() >= self.at
