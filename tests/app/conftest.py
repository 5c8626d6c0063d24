"""What the tests share: one loaded database with a replica, one Redis, one service, each started once."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import release as releases
from hms.bench.processes import Process, eventually
from hms.bench.servers import PASSWORD, Postgres, Redis
from hms.bench.service import Service, clean_environment


@pytest.fixture(scope="session")
def password_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secrets") / "password"
    path.write_text(PASSWORD + "\n")
    return path


@pytest.fixture(scope="session")
def empty_postgres() -> Iterator[Postgres]:
    """Yield a server that runs, with an empty database `hms`."""
    server = Postgres()
    try:
        server.create("hms")
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def database_environment(empty_postgres: Postgres, password_file: Path) -> dict[str, str]:
    """Return the settings with which the service and the load reach the server."""
    return {
        "HMS_POSTGRES_HOSTS": empty_postgres.address,
        "HMS_POSTGRES_PASSWORD_FILE": str(password_file),
        "HMS_POSTGRES_CA_FILE": str(empty_postgres.ca_file),
    }


@pytest.fixture(scope="session")
def first_load(database_environment: dict[str, str]) -> Process:
    """Return the first `python -m app.load`, ended."""
    process = start_load(**database_environment)
    assert process.wait() == 0, process.output
    return process


@pytest.fixture(scope="session")
def postgres(empty_postgres: Postgres, first_load: Process) -> Postgres:
    """Return the server with the release loaded."""
    del first_load
    return empty_postgres


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    server = Redis()
    try:
        yield server
    finally:
        server.remove()


ADMIN_KEY = "the administrator of the tests, and of nothing else"
AS_ADMIN = {"x-api-key": ADMIN_KEY}


@pytest.fixture(scope="session")
def admin_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("admin") / "key"
    path.write_text(ADMIN_KEY + "\n")
    return path


@pytest.fixture(scope="session")
def service(
    postgres: Postgres, redis: Redis, database_environment: dict[str, str], admin_key_file: Path
) -> Iterator[Service]:
    """Yield the service in front of the loaded database and the cache."""
    del postgres
    with Service(**database_environment, **redis.environment, HMS_ADMIN_KEY_FILE=str(admin_key_file)) as started:
        started.until_ready()
        eventually(lambda: started.metric("hms_app_cache_up") == 1)
        yield started


@pytest.fixture(scope="session")
def release() -> releases.Release:
    """Return the release that the package carries."""
    return releases.read_packaged()


def start_load(**environment: str) -> Process:
    return Process([sys.executable, "-m", "app.load"], environment=clean_environment(**environment))
