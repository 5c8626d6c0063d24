"""A real primary whose commits wait for its one standby, and the fence of that standby."""

import asyncio
import os
import shutil
import signal
import threading
from pathlib import Path

import psycopg

from tests.drills.engines import PostgresServer, free_port, until
from witness.core import Fence, Vote
from witness.fence import LATCH, Standby
from witness.processes import receivers_of

LATCH_WAIT = Path(__file__).resolve().parents[2] / "images" / "postgres" / "latch-wait"
PRIMARY, STANDBY, OTHER, THIRD = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"
VOTE = Vote("a", "term 1", "renewal 1")
COMMIT_SECONDS = 0.6


class Pair:
    """The two servers, `home` for the latch, and what the witness said."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.home, self._sockets = folder / "witness", folder / "sockets"
        self.primary = PostgresServer(folder, PRIMARY, port)
        self.replica = PostgresServer(folder, STANDBY, port)
        self.said: list[str] = []
        for path in (self.home, self._sockets):
            path.mkdir()
            if os.geteuid() == 0:
                shutil.chown(path, "postgres", "postgres")
        self.standby = self.witnessed()

    def witnessed(self) -> Standby:
        """Return the standby as a witness that has just started sees it."""
        return Standby(
            self.home, self.replica.data, self._sockets, self.replica.port, lambda step, **_: self.said.append(step)
        )

    def start(self) -> None:
        """Start both; commits wait for the standby from here on."""
        self.primary.make()
        self.primary.start(wal_level="replica")
        self.primary.ask("CREATE TABLE t (n int)")
        self.replica.copy_of(self.primary)
        self.start_replica()
        until(lambda: bool(self.receivers()), "no receiver streams")
        self.primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (replica)'")
        self.primary.ask("SELECT pg_reload_conf()")
        assert self.commits()

    def start_replica(self) -> None:
        """Start the standby, whose startup process asks at the latch."""
        self.replica.start(**self._settings())

    def start_replica_behind_the_latch(self) -> None:
        """Start it without waiting for it to answer, which it does not."""
        self.replica.begin(**self._settings())

    def _settings(self) -> dict[str, str]:
        return {
            "restore_command": f"WITNESS_HOME={self.home} {LATCH_WAIT}",
            "unix_socket_directories": str(self._sockets),
            "wal_retrieve_retry_interval": "100ms",
        }

    def receivers(self) -> list[int]:
        """Return the standby's receivers."""
        return [receiver.pid for receiver in receivers_of(self.replica.data)]

    def commits(self) -> bool:
        """Say whether the primary acknowledges a commit in a moment; one that it does not is cancelled."""
        with psycopg.connect(host=PRIMARY, port=self.primary.port, user="postgres", autocommit=True) as connection:
            late = threading.Event()

            def cancel() -> None:
                late.set()
                connection.cancel()

            timer = threading.Timer(COMMIT_SECONDS, cancel)
            timer.start()
            connection.execute("INSERT INTO t VALUES (1)")
            timer.cancel()
            timer.join()
            return not late.is_set()

    def look(self, *, term: str = VOTE.term, leads: bool = False, address: str = OTHER) -> Fence:
        """Return what the witness sees in that term, by default its vote's; `address` is where the leader answers."""
        return asyncio.run(self.standby.look(term=term, leads=leads, address=address))

    def fence(self) -> bool:
        closed = asyncio.run(self.standby.fence(VOTE, PRIMARY))
        if os.geteuid() == 0:  # in a pod both are one user
            shutil.chown(self.home / LATCH, "postgres", "postgres")
        return closed

    def until_fenced(self) -> None:
        until(self.fence, "the fence does not close")

    def follow(self, host: str) -> None:
        """Have the standby follow another, as Patroni does: the file, then a reload."""
        self.follow_file(host)
        os.kill(self.postmaster(), signal.SIGHUP)

    def until_loaded(self, host: str) -> None:
        """Wait until the standby has loaded that it follows this."""
        shown = [(self._conninfo(host),)]
        until(lambda: self.replica.ask("SHOW primary_conninfo") == shown, "the configuration is not loaded")

    def follow_file(self, host: str) -> None:
        """Have the file name another, or nobody."""
        config = self.replica.data / "postgresql.conf"
        config.write_text(f"{config.read_text()}primary_conninfo = '{self._conninfo(host)}'\n")
        (self.replica.data / "postgresql.auto.conf").write_text("")

    def _conninfo(self, host: str) -> str:
        return f"host={host} port={self.replica.port} user=postgres application_name=replica" if host else ""

    def postmaster(self) -> int:
        return int((self.replica.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def in_recovery(self) -> bool:
        return self.replica.ask("SELECT pg_is_in_recovery()") == [(True,)]

    def stop(self) -> None:
        self.standby.release()
        self.replica.kill()
        self.primary.kill()
