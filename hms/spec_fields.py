"""The reading of one flat configuration: every value by its key, every problem kept, none raised until the end."""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from hms.errors import InvalidSpecError
from hms.quantity import format_bytes, format_millicores, parse_bytes, parse_millicores

Values = Mapping[str, object]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Fields:
    """A configuration being read.

    Each reader returns the value, or a harmless one after noting a problem, so that all problems are found in one
    pass. `finish` raises them. Messages name the key, the value and the bound.
    """

    def __init__(self, values: Values) -> None:
        self._values = values
        self._read: set[str] = set()
        self._problems: list[str] = []
        self._bad: set[str] = set()

    def require(self, holds: bool, problem: str) -> None:
        """Note `problem` unless `holds`: for the rules that tie several values together.

        Where one of the keys that it names has a problem of its own, the rule was asked of a value that nobody wrote.
        """
        if not holds and not self._bad.intersection(re.findall(r"\w+", problem)):
            self._problems.append(problem)

    def text(self, key: str, *, pattern: str = "", hint: str = "") -> str:
        """Return a text; where a pattern is given all of it must match, and `hint` says what is wanted."""
        value = self._value(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._note(key, f"{value!r} is not a text")
            return ""
        if pattern and not re.fullmatch(pattern, value):
            self._note(key, f"{value!r} is not {hint}")
        return value

    def name(self, key: str, *, longest: int = 63, empty: bool = False) -> str:
        """Return a name that Kubernetes takes: lower case letters, digits and dashes."""
        value = self.text(key)
        if value == "" and (empty or not isinstance(self._values.get(key), str)):
            return value
        if len(value) > longest or not _NAME.fullmatch(value):
            self._note(key, f"{value!r} is not a name of at most {longest} lower case letters, digits and dashes")
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Return one of `choices`."""
        value = self.text(key)
        if isinstance(self._values.get(key), str) and value not in choices:
            self._note(key, f"{value!r} is not one of {', '.join(choices)}")
        return value if value in choices else choices[0]

    def integer(self, key: str, low: int, high: int, *, why: str = "") -> int:
        """Return a whole number from `low` to `high`; `why` says who sets the bound."""
        value = self._value(key)
        if value is None:
            return low
        if isinstance(value, str) and re.fullmatch(r"-?\d+", value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self._note(key, f"{value!r} is not a whole number")
            return low
        if not low <= value <= high:
            self._note(key, f"{value} is not within {low} to {high}{f' ({why})' if why else ''}")
            return low
        return value

    def millicores(self, key: str, low: int, high: int) -> int:
        """Return a CPU quantity in thousandths of a core."""
        return self._quantity(key, parse_millicores, format_millicores, low, high)

    def bytes(self, key: str, low: int, high: int) -> int:
        """Return a memory or storage quantity in bytes."""
        return self._quantity(key, parse_bytes, format_bytes, low, high)

    def finish(self, source: str) -> None:
        """Raise `InvalidSpecError` with every problem that was met, unknown keys among them."""
        unknown = sorted(set(self._values) - self._read)
        self._problems += [f"{key}: no such setting{_nearest(key, self._read)}" for key in unknown]
        if self._problems:
            raise InvalidSpecError(source, self._problems)

    def _note(self, key: str, problem: str) -> None:
        self._bad.add(key)
        self._problems.append(f"{key}: {problem}")

    def _value(self, key: str) -> object:
        self._read.add(key)
        value = self._values.get(key)
        if value is None:
            self._note(key, "missing")
        return value

    def _quantity(self, key: str, parse: Callable[[str], int], write: Callable[[int], str], low: int, high: int) -> int:
        value = self._value(key)
        if value is None:
            return low
        try:
            quantity = parse(str(value))
        except ValueError as error:
            self._note(key, str(error))
            return low
        if not low <= quantity <= high:
            self._note(key, f"{value} is not within {write(low)} to {write(high)}")
            return low
        return quantity


def _nearest(key: str, known: set[str]) -> str:
    close = get_close_matches(key, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
