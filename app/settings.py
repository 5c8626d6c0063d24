"""What a process is told by its environment: read once, every bad value reported at once.

| variable | default | meaning |
|---|---|---|
| `HMS_LISTEN_HOST`, `HMS_LISTEN_PORT` | 0.0.0.0, 8080 | where HTTP is served |
| `HMS_POSTGRES_HOSTS` | needed | `host:port` of every member, comma between; which is the primary is found out |
| `HMS_POSTGRES_DATABASE`, `_USER` | hms, app | |
| `HMS_POSTGRES_PASSWORD_FILE` | none | a file that holds the password; read again for each connection |
| `HMS_POSTGRES_CA_FILE` | none | if set, TLS is demanded and the server's name checked |
| `HMS_POSTGRES_POOL_SIZE` | 8 | connections to each member at most: what a failover can bring upon one |
| `HMS_POSTGRES_CONNECTIONS` | 50 | connections to all members together at most, two to watch each included |
| `HMS_POSTGRES_STALENESS_SECONDS` | 1 | what a read from a replica may lack at most, while there is a primary |
| `HMS_REDIS_SENTINELS` | none | `host:port` of every Sentinel; without it there is no cache |
| `HMS_REDIS_MASTER`, `_USER` | hms, none | |
| `HMS_REDIS_PASSWORD_FILE` | none | read again for each connection |
| `HMS_REDIS_POOL_SIZE` | 20 | connections to each Redis node at most, beside one that watches it |
| `HMS_SENTINEL_USER`, `HMS_SENTINEL_PASSWORD_FILE` | none | |
| `HMS_CACHE_TTL_SECONDS` | 60 | how long an answer stays in the cache at most |
| `HMS_MAX_CONCURRENCY` | 1000 | requests at once; more wait a moment, then are refused with 503 |
| `HMS_MAX_CONNECTIONS` | 4096 | clients' connections; beyond it the longest idle one makes room |
| `HMS_SEARCH_TIMEOUT_SECONDS` | 30 | the deadline of a search; beyond a deadline 504 |
| `HMS_ENTERPRISE_TIMEOUT_SECONDS` | 60 | of an export or another expensive request |
| `HMS_HEALTH_TIMEOUT_SECONDS` | 10 | of health and metrics |
| `HMS_REQUEST_TIMEOUT_SECONDS` | 30 | of every other request |
| `HMS_SLOW_CLIENT_SECONDS` | 10 | how long a client may take over the head, the body, or the next part of an answer |
| `HMS_SEARCH_LOG` | on | whether searches are written down (no user, no address), on or off |
| `HMS_SEARCH_LOG_KEEP_MONTHS` | 12 | whole months of the search log that are kept before the current one |
| `HMS_SEARCH_LOG_RETIRED` | drop | what becomes of older ones: drop, or archive (schema `search_logs_archive`) |
| `HMS_MAINTENANCE_SECONDS` | 3600 | how often the one instance that does it tends to the tables |
| `HMS_TRACES_ENDPOINT` | none | `http://host:port` of an OpenTelemetry collector; without it nothing is traced |
| `HMS_TRACES_PERCENT` | 100 | of the requests are traced, beside those whose client traces them |
| `HMS_DRAIN_SECONDS` | 2 | after SIGTERM, how long clients are told to leave before connections are closed |
| `HMS_LOAD_WAIT_SECONDS` | 300 | how long `python -m app.load` waits for a writable primary |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from app.errors import SettingsError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """A host, by name or number, and its port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings:
    """How to reach the members of the database."""

    hosts: tuple[Address, ...]
    database: str
    user: str
    password_file: Path | None
    ca_file: Path | None
    pool_size: int
    connections: int
    staleness_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """How to reach the cache, through its Sentinels."""

    sentinels: tuple[Address, ...]
    master: str
    user: str | None
    password_file: Path | None
    sentinel_user: str | None
    sentinel_password_file: Path | None
    pool_size: int
    ttl_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutSettings:
    """How long each kind of request may take, and a client over its part of one."""

    search_seconds: float
    enterprise_seconds: float
    health_seconds: float
    other_seconds: float
    slow_client_seconds: float

    @property
    def longest_seconds(self) -> float:
        """Return the longest time that a request has."""
        return max(self.search_seconds, self.enterprise_seconds, self.health_seconds, self.other_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLogSettings:
    """Whether searches are written down, and what becomes of it."""

    on: bool
    keep_months: int
    retired: Literal["drop", "archive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracesSettings:
    """Where spans are sent, and of which share of the requests, from 0 to 1."""

    endpoint: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a process is told. Made by `from_environment`."""

    listen: Address
    postgres: PostgresSettings
    redis: RedisSettings | None
    timeouts: TimeoutSettings
    search_log: SearchLogSettings
    traces: TracesSettings | None
    maintenance_seconds: float
    max_concurrency: int
    max_connections: int
    drain_seconds: float
    load_wait_seconds: float


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises `SettingsError` that names every bad variable, its value and its bound at once."""
    reader = _Reader(environment)
    sentinels = reader.addresses("HMS_REDIS_SENTINELS", needed=False)
    postgres = PostgresSettings(
        hosts=reader.addresses("HMS_POSTGRES_HOSTS", needed=True),
        database=reader.text("HMS_POSTGRES_DATABASE", "hms"),
        user=reader.text("HMS_POSTGRES_USER", "app"),
        password_file=reader.file("HMS_POSTGRES_PASSWORD_FILE"),
        ca_file=reader.file("HMS_POSTGRES_CA_FILE"),
        pool_size=reader.whole("HMS_POSTGRES_POOL_SIZE", 8, low=1, high=50),
        connections=reader.whole("HMS_POSTGRES_CONNECTIONS", 50, low=3, high=1000),
        staleness_seconds=reader.seconds("HMS_POSTGRES_STALENESS_SECONDS", 1, low=0.5, high=3600),
    )
    redis = RedisSettings(
        sentinels=sentinels,
        master=reader.text("HMS_REDIS_MASTER", "hms"),
        user=reader.optional("HMS_REDIS_USER"),
        password_file=reader.file("HMS_REDIS_PASSWORD_FILE"),
        sentinel_user=reader.optional("HMS_SENTINEL_USER"),
        sentinel_password_file=reader.file("HMS_SENTINEL_PASSWORD_FILE"),
        pool_size=reader.whole("HMS_REDIS_POOL_SIZE", 20, low=1, high=1000),
        ttl_seconds=reader.whole("HMS_CACHE_TTL_SECONDS", 60, low=1, high=86_400),
    )
    search_log = SearchLogSettings(
        on=reader.choice("HMS_SEARCH_LOG", "on", "off") == "on",
        keep_months=reader.whole("HMS_SEARCH_LOG_KEEP_MONTHS", 12, low=0, high=1200),
        retired="archive" if reader.choice("HMS_SEARCH_LOG_RETIRED", "drop", "archive") == "archive" else "drop",
    )
    traces = TracesSettings(
        endpoint=reader.url("HMS_TRACES_ENDPOINT"), share=reader.whole("HMS_TRACES_PERCENT", 100, low=0, high=100) / 100
    )
    settings = Settings(
        listen=Address(
            reader.text("HMS_LISTEN_HOST", "0.0.0.0"),  # noqa: S104 - a service in a pod listens to the pod's network
            reader.whole("HMS_LISTEN_PORT", 8080, low=0, high=65_535),
        ),
        postgres=postgres,
        redis=redis if sentinels else None,
        traces=traces if traces.endpoint else None,
        timeouts=_timeouts(reader),
        max_concurrency=reader.whole("HMS_MAX_CONCURRENCY", 1000, low=1, high=100_000),
        max_connections=reader.whole("HMS_MAX_CONNECTIONS", 4096, low=1, high=1_000_000),
        search_log=search_log,
        maintenance_seconds=reader.seconds("HMS_MAINTENANCE_SECONDS", 3600, low=0.1, high=86_400),
        drain_seconds=reader.seconds("HMS_DRAIN_SECONDS", 2, low=0, high=300),
        load_wait_seconds=reader.seconds("HMS_LOAD_WAIT_SECONDS", 300, low=0, high=3600),
    )
    reader.check(
        postgres.connections > 2 * len(postgres.hosts),
        f"HMS_POSTGRES_CONNECTIONS={postgres.connections}: must be above {2 * len(postgres.hosts)}, "
        f"two for each member of HMS_POSTGRES_HOSTS, which are kept for watching",
    )
    reader.check_names()
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


def _timeouts(reader: "_Reader") -> TimeoutSettings:
    return TimeoutSettings(
        search_seconds=reader.seconds("HMS_SEARCH_TIMEOUT_SECONDS", 30, low=0.1, high=600),
        enterprise_seconds=reader.seconds("HMS_ENTERPRISE_TIMEOUT_SECONDS", 60, low=0.1, high=600),
        health_seconds=reader.seconds("HMS_HEALTH_TIMEOUT_SECONDS", 10, low=0.1, high=600),
        other_seconds=reader.seconds("HMS_REQUEST_TIMEOUT_SECONDS", 30, low=0.1, high=600),
        slow_client_seconds=reader.seconds("HMS_SLOW_CLIENT_SECONDS", 10, low=0.1, high=600),
    )


class _Reader:
    """Reads variables by kind, keeps the problems, and remembers which names were asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._known: set[str] = set()
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self._read(name, default, lambda raw: raw)

    def optional(self, name: str) -> str | None:
        return self._read(name, None, lambda raw: raw)

    def choice(self, name: str, default: str, *others: str) -> str:
        def parse(raw: str) -> str:
            if raw not in (default, *others):
                raise ValueError(f"must be {' or '.join((default, *others))}")
            return raw

        return self._read(name, default, parse)

    def file(self, name: str) -> Path | None:
        def parse(raw: str) -> Path:
            path = Path(raw)
            if not path.is_file():
                raise ValueError("there is no such file")
            with path.open("rb"):
                return path

        return self._read(name, None, parse)

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        def parse(raw: str) -> int:
            if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
                raise ValueError(f"must be a whole number from {low} to {high}")
            return int(raw)

        return self._read(name, default, parse)

    def seconds(self, name: str, default: float, *, low: float, high: float) -> float:
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
        for name in sorted(self._environment):
            if name.startswith(("HMS_POSTGRES_", "HMS_REDIS_", "HMS_SENTINEL_")) and name not in self._known:
                self.problems.append(f"{name} is not known: is it misspelt?")

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
