"""The witness's settings, from its environment; every bad one is reported at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class SettingsError(ValueError):
    """What is wrong with the environment, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Who this witness is, and how patient.

    A leader is silent after `failures` probes in a row without any answer, `period_ms` apart, each of which waits
    `patience_ms`. A lease is stale after `stale_seconds` without renewal, which no leader that lives lets pass. A fence
    that leads to nothing ends after `gives_up_ms`. `instances` selects the service's pods, by labels; they answer at
    `instances_port`. `account` has the token and the certificate of the API server,
    `home` the latch, `data` is Postgres's data directory, `sockets` where it listens locally.
    """

    member: str
    members: frozenset[str]
    namespace: str
    scope: str
    api_host: str
    api_port: int
    instances: str
    instances_port: int
    postgres_port: int = 5432
    patroni_port: int = 8008
    metrics_port: int = 8009
    period_ms: int = 100
    patience_ms: int = 130
    failures: int = 3
    stale_seconds: int = 10
    gives_up_ms: int = 5000
    account: Path = ACCOUNT
    home: Path = Path("/data/witness")
    data: Path = Path("/data/pgdata")
    sockets: Path = Path("/run/postgresql")


_NUMBERS = {
    "metrics_port": (1, 65535),
    "postgres_port": (1, 65535),
    "patroni_port": (1, 65535),
    "period_ms": (10, 10_000),
    "patience_ms": (10, 10_000),
    "failures": (1, 100),
    "stale_seconds": (2, 3600),
    "gives_up_ms": (500, 60_000),
}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings; `SettingsError` names each variable that is missing or out of its bounds, with its value."""
    errors: list[str] = []

    def text(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            errors.append(f"{name}: not set")
        return value

    def number(name: str, low: int, high: int, default: str = "") -> int:
        value = environment.get(name, default)
        if value.isascii() and value.isdigit() and low <= int(value) <= high:
            return int(value)
        errors.append(f"{name}: {value!r} is no whole number from {low} to {high}")
        return low

    member, members = text("WITNESS_MEMBER"), frozenset(text("WITNESS_MEMBERS").split())
    if member and members and member not in members:
        errors.append(f"WITNESS_MEMBER: {member!r} is none of WITNESS_MEMBERS, {' '.join(sorted(members))}")
    given: dict[str, Any] = {
        key: number(f"WITNESS_{key.upper()}", *bounds)
        for key, bounds in _NUMBERS.items()
        if f"WITNESS_{key.upper()}" in environment
    }
    paths: dict[str, Any] = {
        key: Path(environment[f"WITNESS_{key.upper()}"])
        for key in ("account", "home", "data", "sockets")
        if environment.get(f"WITNESS_{key.upper()}")
    }
    settings = Settings(
        member=member,
        members=members,
        namespace=text("WITNESS_NAMESPACE"),
        scope=text("WITNESS_SCOPE"),
        api_host=text("KUBERNETES_SERVICE_HOST"),
        api_port=number("KUBERNETES_SERVICE_PORT", 1, 65535, "443"),
        instances=text("WITNESS_INSTANCES"),
        instances_port=number("WITNESS_INSTANCES_PORT", 1, 65535),
        **given,
        **paths,
    )
    if errors:
        raise SettingsError("\n".join(errors))
    return settings
