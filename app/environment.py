"""The reading of environment variables: each by its kind, every problem kept, none raised until all were read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from app.limits import Limits

T = TypeVar("T")

_LEAST_SECRET = 32
_MOST_REQUESTS = 1_000_000_000
_OURS = "HMS_"

_OF_A_SERVICE = re.compile(
    r"HMS_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=.*"
    r"|HMS_(\w+_)?PORT=(tcp|udp|sctp)://.*",
    re.DOTALL,
)
"""What Kubernetes puts into the environment of every pod for a Service whose name begins with `hms`."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host, by name or number, and its port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Reader:
    """Reads variables by kind, keeps the problems, and remembers which names were asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._known: set[str] = set()
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        """Return a text."""
        return self._read(name, default, lambda raw: raw)

    def optional(self, name: str) -> str | None:
        """Return a text, or None if it is not there."""
        return self._read(name, None, lambda raw: raw)

    def choice(self, name: str, default: str, *others: str) -> str:
        """Return one of a few words."""

        def parse(raw: str) -> str:
            if raw not in (default, *others):
                raise ValueError(f"must be {' or '.join((default, *others))}")
            return raw

        return self._read(name, default, parse)

    def file(self, name: str) -> Path | None:
        """Return a file that can be read."""

        def parse(raw: str) -> Path:
            path = Path(raw)
            if not path.is_file():
                raise ValueError("there is no such file")
            with path.open("rb"):
                return path

        return self._read(name, None, parse)

    def secret(self, name: str) -> Path | None:
        """Return a file whose content is long enough to be a secret."""

        def parse(raw: str) -> Path:
            path = Path(raw)
            if not path.is_file():
                raise ValueError("there is no such file")
            held = path.read_text(encoding="utf-8").rstrip("\n")
            if len(held) < _LEAST_SECRET or not held.isascii() or not held.isprintable():
                raise ValueError(f"the file must hold {_LEAST_SECRET} printable ASCII characters at least")
            return path

        return self._read(name, None, parse)

    def limits(self, name: str, default: Limits) -> Limits:
        """Return a tier's limits."""

        def parse(raw: str) -> Limits:
            parts = [part.strip() for part in raw.split(",")]
            if len(parts) != 3 or not all(
                part.isascii() and part.isdigit() and 1 <= int(part) <= _MOST_REQUESTS for part in parts
            ):
                raise ValueError(f"must be requests a minute,an hour,at once, each from 1 to {_MOST_REQUESTS}")
            return Limits(*map(int, parts))

        return self._read(name, default, parse)

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        """Return a whole number."""

        def parse(raw: str) -> int:
            if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
                raise ValueError(f"must be a whole number from {low} to {high}")
            return int(raw)

        return self._read(name, default, parse)

    def seconds(self, name: str, default: float, *, low: float, high: float) -> float:
        """Return a time."""

        def parse(raw: str) -> float:
            try:
                value = float(raw)
            except ValueError:
                value = float("nan")
            if not low <= value <= high:
                raise ValueError(f"must be seconds from {low:g} to {high:g}")
            return value

        return self._read(name, default, parse)

    def url(self, name: str) -> str:
        """Return an address of HTTP, empty if there is none."""

        def parse(raw: str) -> str:
            parts = urlsplit(raw)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("must be http://host:port")
            return raw

        return self._read(name, "", parse)

    def addresses(self, name: str, *, needed: bool) -> tuple[Address, ...]:
        """Return a list of addresses."""
        found = self._read(name, None, lambda raw: tuple(_address(part) for part in raw.split(",")))
        if found is None:
            if needed and name not in self._environment:
                self.problems.append(f"{name} is missing: give host:port of every member, comma between")
            return ()
        if len(set(found)) < len(found):
            self.problems.append(f"{name}={self._environment[name]!r}: an address is there twice")
        return found

    def check(self, holds: bool, problem: str) -> None:
        """Note a problem of several settings together."""
        if not holds:
            self.problems.append(problem)

    def check_names(self) -> None:
        """Find variables that begin like ours and are none: a misspelt one would silently be its default."""
        for name, raw in sorted(self._environment.items()):
            if not name.startswith(_OURS) or name in self._known or _OF_A_SERVICE.fullmatch(f"{name}={raw}"):
                continue
            nearest = get_close_matches(name, sorted(self._known), n=1)
            advice = f"did you mean {nearest[0]}?" if nearest else "remove it; docs/app.md has all that there are"
            self.problems.append(f"{name} is no setting: {advice}")

    def _read(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        self._known.add(name)
        raw = self._environment.get(name)
        if raw is None:
            return default
        try:
            if not raw.strip():
                raise ValueError("must not be empty; leave it out for the default")
            return parse(raw.strip())
        except (ValueError, OSError) as error:
            self.problems.append(f"{name}={raw!r}: {error}")
            return default


def _address(text: str) -> Address:
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise ValueError(f"{text.strip()!r} is not host:port with a port from 1 to 65535")
    return Address(host.strip("[]"), int(port))
