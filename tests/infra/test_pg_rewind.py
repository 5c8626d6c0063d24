"""The image's pg_rewind: a primary whose crash recovery as a standby was cut off follows the next one again."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hms.bench.processes import Process, eventually
from hms.bench.servers import Postgres, binary
from hms.paths import project_root

pytestmark = [pytest.mark.slow, pytest.mark.fault]

WRAPPER = project_root() / "images" / "postgres" / "pg_rewind"
USER = "postgres" if os.geteuid() == 0 else None
ROWS = 1000


@pytest.fixture
def old() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.create("hms")
        server.configure(wal_log_hints="on")
        server.kill()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def new(old: Postgres) -> Iterator[Postgres]:
    server = Postgres(replica_of=old)
    try:
        yield server
    finally:
        server.remove()


def stop_within_crash_recovery(server: Postgres) -> None:
    """Start a killed primary as a standby, and stop it before it has read its own log.

    Its startup process asks for a timeline's history before it reads anything, and waits there for the answer.
    """
    (server.data / "standby.signal").touch()
    asked = server.directory / "asked"
    settings = {
        "unix_socket_directories": server.directory,
        "port": server.port,
        "restore_command": f"touch {asked}; sleep 60; false",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    process = Process([binary("postgres"), "-D", server.data, *options], user=USER, directory=server.directory)
    eventually(asked.exists)
    process.signal(signal.SIGINT)
    process.wait()


def state_of(server: Postgres) -> str:
    program = Path(binary("pg_controldata"))
    said = subprocess.run(
        [program, "-D", server.data], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}, user=USER
    )
    return re.sub(" +", " ", said.stdout)


def rewind(*command: str, directory: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HMS_POSTGRES_PROGRAMS": str(Path(binary("postgres")).parent)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, user=USER, cwd=directory, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_it_can_be_asked_about_itself() -> None:
    """Patroni asks for its help, and without an answer never rewinds."""
    assert rewind(str(WRAPPER), "--help", directory=Path("/")) == ""


def test_what_was_cut_off_is_read_first_and_then_rewound(old: Postgres, new: Postgres) -> None:
    with old.connect() as connection:
        connection.execute("CREATE TABLE t (n int)")
        connection.execute("CHECKPOINT")
    eventually(lambda: new.value("SELECT count(*) FROM pg_tables WHERE tablename = 't'") == 1)
    new.promote()
    with new.connect() as connection:
        connection.execute("CHECKPOINT")  # Patroni does so too: until then its control file has the old timeline
    with old.connect() as connection:
        connection.execute(f"INSERT INTO t SELECT generate_series(1, {ROWS})".encode())
    old.kill()
    stop_within_crash_recovery(old)
    state = state_of(old)
    assert "cluster state: shut down in recovery" in state
    assert "Minimum recovery ending location: 0/0" in state

    source = f"host={new.directory} port={new.port} user=postgres dbname=postgres"
    arguments = ("-D", str(old.data), "--source-server", source)
    assert "no rewind required" in rewind(str(binary("pg_rewind")), *arguments, "--dry-run", directory=old.directory)
    assert "crash recovery was cut off" in rewind(
        str(WRAPPER), *arguments, "--write-recovery-conf", directory=old.directory
    )
    old.start()
    with new.connect() as connection:
        connection.execute("INSERT INTO t VALUES (7)")
    eventually(lambda: old.value("SELECT array_agg(n) FROM t") == [7])
