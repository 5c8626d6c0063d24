"""Engines that live as long as a test module."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drills.wire import AppSettings, PostgresSettings, RedisSettings, Settings, WriterName
from tests.drills.engines import PASSWORD, PostgresServer, RedisServer, free_port, postgres_folder, until

PRIMARY, REPLICA = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True)
class PostgresPair:
    """A primary and its synchronous replica."""

    primary: PostgresServer
    replica: PostgresServer


@pytest.fixture
def folder() -> Iterator[Path]:
    with postgres_folder() as made:
        yield made


@pytest.fixture
def pair(folder: Path) -> Iterator[PostgresPair]:
    port = free_port()
    primary = PostgresServer(folder, PRIMARY, port)
    replica = PostgresServer(folder, REPLICA, port)
    try:
        primary.make()
        primary.start()
        primary.prepare()
        replica.copy_of(primary)
        replica.start()
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (replica)'")
        primary.ask("SELECT pg_reload_conf()")
        synchronous = "SELECT sync_state FROM pg_stat_replication"
        until(lambda: primary.ask(synchronous) == [("quorum",)], "the replica is not synchronous")
        yield PostgresPair(primary, replica)
    finally:
        replica.stop()
        primary.stop()


@pytest.fixture
def redis(folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder, PRIMARY, free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()


def make_settings(
    folder: Path, *, postgres_port: int = 1, redis_port: int = 1, app_port: int = 1, rates: dict[WriterName, float]
) -> Settings:
    """Return the settings of a pod whose engines are the ones here."""
    (folder / "password").write_text(f"{PASSWORD}\n")
    (folder / "ledger").mkdir(exist_ok=True)
    return Settings(
        run="r",
        directory=str(folder / "ledger"),
        postgres=PostgresSettings(
            members=(PRIMARY, REPLICA), port=postgres_port, rest_port=1, database="hms", user="drill",
            password_file=str(folder / "password"), ca_file="",
        ),
        redis=RedisSettings(
            nodes=(PRIMARY,), port=redis_port, sentinels=(), sentinel_port=1, master_name="hms", user="drill",
            password_file=str(folder / "password"), minimum_replicas=0,
        ),
        app=AppSettings(host="127.0.0.1", port=app_port, key_file=str(folder / "password")),
        rates_per_second=rates,
    )  # fmt: skip
