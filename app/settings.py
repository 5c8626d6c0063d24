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
| `HMS_REDIS_SENTINELS` | none | `host:port` of every Sentinel |
| `HMS_REDIS_HOSTS` | none | without Sentinels: `host:port` of every Redis; with neither there is no cache |
| `HMS_REDIS_MASTER`, `_USER` | hms, none | |
| `HMS_REDIS_PASSWORD_FILE` | none | read again for each connection |
| `HMS_REDIS_POOL_SIZE` | 20 | connections to each Redis node at most, beside one that watches it |
| `HMS_SENTINEL_USER`, `HMS_SENTINEL_PASSWORD_FILE` | none | |
| `HMS_CACHE_TTL_SECONDS` | 60 | how long an answer stays in the cache at most |
| `HMS_MAX_CONCURRENCY` | 1000 | requests at once; more wait a moment, then are refused with 503 |
| `HMS_RATE_LIMITS` | on | whether clients' requests are counted and limited |
| `HMS_RATE_LIMIT_ANONYMOUS` | 60,1000,10 | requests of one address a minute, an hour, at once |
| `HMS_RATE_LIMIT_AUTHENTICATED` | 200,5000,50 | the same of a key of that tier |
| `HMS_RATE_LIMIT_PREMIUM` | 1000,20000,200 | |
| `HMS_RATE_LIMIT_ENTERPRISE` | 10000,200000,1000 | |
| `HMS_RATE_LIMIT_INTERNAL` | 1000000,60000000,100000 | of the stack's own load generator and drills |
| `HMS_INSTANCES` | 3 | how many share the limits: each lets its part through while Redis is away |
| `HMS_TRUSTED_PROXIES` | 0 | proxies before us that add to `X-Forwarded-For`; what others added is not believed |
| `HMS_ADMIN_KEY_FILE` | none | a file with the administrator's key; without it nobody is |
| `HMS_ENTERPRISE_CONCURRENCY` | 2 | exports and other expensive requests at once |
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

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.environment import Address, Reader
from app.errors import SettingsError
from app.limits import DEFAULT_LIMITS, Limits, Tier

__all__ = ["Address", "PostgresSettings", "ProtectionSettings", "RedisSettings", "Settings", "TimeoutSettings"]


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
    """How to reach the cache: through its Sentinels, or, where there are none, at the hosts that there are."""

    sentinels: tuple[Address, ...]
    hosts: tuple[Address, ...]
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
class ProtectionSettings:
    """How much clients may ask for, and how they are known. `limits` is None where they are switched off."""

    limits: Mapping[Tier, Limits] | None
    instances: int
    trusted_proxies: int
    admin_key_file: Path | None
    max_concurrency: int
    max_connections: int
    enterprise_concurrency: int


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
    protection: ProtectionSettings
    drain_seconds: float
    load_wait_seconds: float


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises `SettingsError` that names every bad variable, its value and its bound at once."""
    reader = Reader(environment)
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
        sentinels=reader.addresses("HMS_REDIS_SENTINELS", needed=False),
        hosts=reader.addresses("HMS_REDIS_HOSTS", needed=False),
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
        redis=redis if redis.sentinels or redis.hosts else None,
        traces=traces if traces.endpoint else None,
        timeouts=_timeouts(reader),
        search_log=search_log,
        maintenance_seconds=reader.seconds("HMS_MAINTENANCE_SECONDS", 3600, low=0.1, high=86_400),
        protection=_protection(reader),
        drain_seconds=reader.seconds("HMS_DRAIN_SECONDS", 2, low=0, high=300),
        load_wait_seconds=reader.seconds("HMS_LOAD_WAIT_SECONDS", 300, low=0, high=3600),
    )
    reader.check(
        postgres.connections > 2 * len(postgres.hosts),
        f"HMS_POSTGRES_CONNECTIONS={postgres.connections}: must be above {2 * len(postgres.hosts)}, "
        f"two for each member of HMS_POSTGRES_HOSTS, which are kept for watching",
    )
    reader.check(
        not (redis.sentinels and redis.hosts),
        "HMS_REDIS_HOSTS: must not be set beside HMS_REDIS_SENTINELS, which name the hosts; remove one of them",
    )
    reader.check_names()
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


def _timeouts(reader: Reader) -> TimeoutSettings:
    return TimeoutSettings(
        search_seconds=reader.seconds("HMS_SEARCH_TIMEOUT_SECONDS", 30, low=0.1, high=600),
        enterprise_seconds=reader.seconds("HMS_ENTERPRISE_TIMEOUT_SECONDS", 60, low=0.1, high=600),
        health_seconds=reader.seconds("HMS_HEALTH_TIMEOUT_SECONDS", 10, low=0.1, high=600),
        other_seconds=reader.seconds("HMS_REQUEST_TIMEOUT_SECONDS", 30, low=0.1, high=600),
        slow_client_seconds=reader.seconds("HMS_SLOW_CLIENT_SECONDS", 10, low=0.1, high=600),
    )


def _protection(reader: Reader) -> ProtectionSettings:
    tiers = {
        tier: reader.limits(f"HMS_RATE_LIMIT_{tier.value.upper()}", limits) for tier, limits in DEFAULT_LIMITS.items()
    }
    return ProtectionSettings(
        limits=tiers if reader.choice("HMS_RATE_LIMITS", "on", "off") == "on" else None,
        instances=reader.whole("HMS_INSTANCES", 3, low=1, high=1000),
        trusted_proxies=reader.whole("HMS_TRUSTED_PROXIES", 0, low=0, high=10),
        admin_key_file=reader.secret("HMS_ADMIN_KEY_FILE"),
        max_concurrency=reader.whole("HMS_MAX_CONCURRENCY", 1000, low=1, high=100_000),
        max_connections=reader.whole("HMS_MAX_CONNECTIONS", 4096, low=1, high=1_000_000),
        enterprise_concurrency=reader.whole("HMS_ENTERPRISE_CONCURRENCY", 2, low=1, high=100),
    )
