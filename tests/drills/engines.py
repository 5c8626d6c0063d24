"""Real engines on loopback, each on an address of its own: 127.0.0.2, 127.0.0.3, ..."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PASSWORD = "drill"


def free_port() -> int:
    """Return a port that nobody listens on now, on any loopback address."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for another process; fail with `what` when time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


@contextmanager
def postgres_folder() -> Iterator[Path]:
    """Make a directory that the user postgres may enter, which pytest's own are not, and remove it."""
    made = Path(tempfile.mkdtemp(prefix="hms-postgres-"))
    made.chmod(0o777)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def postgres_tool(name: str) -> str:
    """Return a server program of the newest Postgres that Debian installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else shutil.which(name) or name


def as_postgres(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, user="postgres" if os.geteuid() == 0 else None)


class PostgresServer:
    """One Postgres, with the role and the schema that drills write to."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.data = folder / f"pg-{host}"
        self.host = host
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        tool = postgres_tool("initdb")
        as_postgres([tool, "-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"])

    def copy_of(self, primary: "PostgresServer") -> None:
        as_postgres(
            [
                postgres_tool("pg_basebackup"), "-D", str(self.data), "-R", "-X", "stream", "-c", "fast",
                "-d", f"host={primary.host} port={primary.port} user=postgres application_name=replica",
            ]
        )  # fmt: skip

    def start(self, **settings: str) -> None:
        self.begin(**settings)
        until(self.answers, f"{self.host}: Postgres does not answer")

    def begin(self, **settings: str) -> None:
        """Start it, and do not wait until it answers."""
        options = [f"-c{name}={value}" for name, value in settings.items()]
        self._process = subprocess.Popen(
            [
                postgres_tool("postgres"), "-D", str(self.data), "-h", self.host, "-p", str(self.port),
                "-k", "", "-c", "max_connections=40", "-c", "fsync=off", *options,
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user="postgres" if os.geteuid() == 0 else None,
        )  # fmt: skip

    def has_ended(self) -> bool:
        """Say whether its postmaster is gone."""
        return self._process is None or self._process.poll() is not None

    def answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def ask(self, query: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(
            host=self.host, port=self.port, user="postgres", dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def prepare(self) -> None:
        """Make what a stack's Postgres has for drills."""
        self.ask("CREATE DATABASE hms")
        self.ask(f"CREATE ROLE drill LOGIN PASSWORD '{PASSWORD}'")
        self.ask("CREATE SCHEMA drills AUTHORIZATION drill", "hms")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have all its processes stand still, while the kernel goes on accepting connections for them."""
        assert self._process is not None
        postmaster = self._process.pid
        os.kill(postmaster, signal.SIGSTOP)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        stopped = [*(int(child) for child in children), postmaster]
        for process_id in stopped:
            os.kill(process_id, signal.SIGSTOP)
        try:
            yield
        finally:
            for process_id in stopped:
                os.kill(process_id, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the postmaster."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(3)  # SIGQUIT: immediate shutdown
            self._process.wait(20)


class RedisServer:
    """One Redis with the user that drills write as."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.folder = folder / f"redis-{host}"
        self.host = host
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        users = f"user default on nopass ~* &* +@all\nuser drill on >{PASSWORD} ~drill:* &* +@all\n"
        (self.folder / "users.acl").write_text(users)
        self._process = subprocess.Popen(
            [
                "redis-server", "--bind", self.host, "--port", str(self.port), "--dir", str(self.folder),
                "--aclfile", str(self.folder / "users.acl"), "--save", "", "--appendonly", "yes", *options,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(self.answers, f"{self.host}: Redis does not answer")

    def answers(self) -> bool:
        return self.ask("PING") == "PONG"

    def ask(self, *words: str) -> str:
        command = ["redis-cli", "-h", self.host, "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
