"""The checks of one test: what was declared beside what was observed."""

from collections.abc import Callable

from hms.evidence import Check


class Checks:
    """Collects a test's checks, so that one test shows all that disagrees and not the first alone.

    Every check is handed to `on_check` at once, whatever becomes of the test.
    """

    def __init__(self, on_check: Callable[[Check], None]) -> None:
        self._on_check = on_check
        self._made: list[Check] = []

    def equal(self, check: str, target: str, *, declared: object, observed: object) -> None:
        """Check that what was observed is what was declared."""
        self.that(check, target, observed == declared, declared=declared, observed=observed)

    def that(self, check: str, target: str, holds: bool, *, declared: object, observed: object) -> None:
        """Check that something holds; `declared` says in words or figures what should be."""
        record = Check(id=check, target=target, declared=_shown(declared), observed=_shown(observed), ok=holds)
        self._made.append(record)
        self._on_check(record)

    def conclude(self) -> None:
        """Fail if a check disagrees, or if none was made: a test that looked at nothing shows nothing."""
        if not self._made:
            raise AssertionError("nothing was checked")
        wrong = [check for check in self._made if not check.ok]
        if wrong:
            lines = "".join(f"\n  {c.id} {c.target}: declared {c.declared}, observed {c.observed}" for c in wrong)
            raise AssertionError(f"{len(wrong)} of {len(self._made)} checks disagree{lines}")


def _shown(value: object) -> str:
    if isinstance(value, set | frozenset):
        return ", ".join(str(item) for item in sorted(value, key=str)) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
