"""Every error of the service: one small tree, one line of meaning each.

The service imports nothing of its neighbours, so it has a tree of its own; a command prints the message and exits with
the class's `exit_code`, and a route turns it into a problem document (`app.problems`).
"""

from collections.abc import Sequence


class AppError(Exception):
    """Something failed in this service. Exit code 1."""

    exit_code = 1


class SettingsError(AppError):
    """The environment breaks the rules of the settings; `problems` has every one of them, a line each. Exit code 2."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"settings: {count}" + "".join(f"\n  - {problem}" for problem in problems))
        self.problems = tuple(problems)


class InvalidCodeError(AppError):
    """A text cannot be an ICD-10-CM code."""


class InvalidQueryError(AppError):
    """A text cannot be searched for."""


class InvalidCursorError(AppError):
    """A text is not where a page of this list ends."""


class ReleaseChangedError(AppError):
    """Another release was made current, so what was begun in the old one cannot go on."""


class OutOfRangeError(AppError):
    """A code falls in none of the partitions."""


class ReleaseError(AppError):
    """A release is not what its checks demand, or another release goes by the same name."""


class IndexingError(AppError):
    """An index could not be built."""


class ClockError(AppError):
    """Two clocks differ so much that one of them is wrong."""


class UnavailableError(AppError):
    """No member of the database could answer in the time that there was."""


class TimedOutError(AppError):
    """The deadline of a request passed while the database was at work on its last attempt."""


class SetAsideError(AppError):
    """A member of the database was set aside while somebody waited for a turn at it: another one may have room."""


class NotDurableError(AppError):
    """The server warned while it committed: the write may not be on a standby, so it must not be acknowledged."""


class RedisUnavailableError(AppError):
    """Redis cannot be asked now, or did not do what it was asked; whoever asked goes on without it."""
