"""The fence: what keeps this member's standby from confirming anything more, whatever crashes.

A latch on the data volume names the vote. Postgres looks for it in `restore_command` (`images/postgres/latch-wait`),
which the startup process runs before it asks for a WAL receiver, and waits there: no new receiver comes. The receiver
that streams already is stopped (SIGSTOP) where it waits for news. Neither needs a privilege, and Patroni sees nothing.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from witness.core import Fence, Vote
from witness.processes import (
    Process,
    descends_from_startup,
    is_promoting,
    is_told_to_end,
    receivers_of,
    send,
    server_of,
    waits,
)
from witness.record import decode_vote, encode_vote
from witness.session import RefusedError, ask

LATCH = "latch"
WAITING = "waiting"
"""What `latch-wait` writes when it waits at the latch: its process and the vote that it saw."""

NOT_IN_PREREQUISITE_STATE = "55000"
"""The SQLSTATE of what cannot be done while, or after, a standby is promoted."""

_STOP_TRIES = 200
_TRY_SECONDS = 0.001
_RESTART_SECONDS = 3.0

Say = Callable[..., None]


class Standby:
    """The member's standby: its latch, which keeps the address of the leader beside the vote, and its receiver."""

    def __init__(self, home: Path, data: Path, sockets: Path, port: int, say: Say) -> None:
        self._home = home
        self._data = data
        self._sockets = sockets
        self._port = port
        self._say = say
        self._seen_other_config: tuple[str, int] | None = None
        self._restarted_at = 0.0
        home.mkdir(mode=0o700, exist_ok=True)

    @property
    def latch(self) -> Vote | None:
        """The vote that the latch names. One that cannot be read keeps the standby fenced, and is for nothing."""
        try:
            text = (self._home / LATCH).read_text()
        except FileNotFoundError:
            return None
        return decode_vote(text.partition("\n")[0]) or Vote("", "", "")

    async def look(self, *, term: str, leads: bool, address: str) -> Fence:
        """Return the state of the fence.

        `term` is that of the record, `leads` whether this member has the key, `address` where its owner answers.
        """
        latch = self.latch
        if latch is None:
            return Fence()
        receivers = self._receivers()
        stopped = all(receiver.state == "T" for receiver in receivers) if receivers else self._waits_at_latch()
        ends = not receivers or (stopped and all(is_told_to_end(receiver.pid) for receiver in receivers))
        told = ends and term != latch.term and await self._is_told(receivers, address, leads=leads)
        return Fence(latch, stopped=stopped, told=told)

    async def fence(self, vote: Vote, address: str) -> bool:
        """Write the latch so that it outlives a power loss, then stop the receiver; return whether that was seen.

        `address` is the leader's. Where it is not known no latch is written: nobody could tell later that the standby
        follows another, and the fence would stand for ever.
        """
        if self.latch != vote:
            if not address:
                return False
            write_durably(self._home / LATCH, encode_vote(vote) + "\n" + address)
            self._seen_other_config = None
        for _ in range(_STOP_TRIES):
            receivers = self._receivers()
            if not receivers:
                return self._waits_at_latch()
            if all(receiver.state == "T" for receiver in receivers):
                return True
            for receiver in receivers:
                if receiver.state != "T" and waits(receiver.pid):
                    send(receiver.pid, signal.SIGSTOP)
            await asyncio.sleep(_TRY_SECONDS)
        return False

    def release(self) -> None:
        """Remove the latch, let the receiver go on."""
        with contextlib.suppress(FileNotFoundError):
            (self._home / LATCH).unlink()
        _sync_directory(self._home)
        for receiver in self._receivers():
            send(receiver.pid, signal.SIGCONT)

    def _receivers(self) -> list[Process]:
        """Return the receivers, but one whose server is dead: continued it might confirm once more, so it is killed.

        Stopped, it would keep the dead server's shared memory, and no new server starts beside that.
        """
        kept, server = [], server_of(self._data)
        for receiver in receivers_of(self._data):
            if server is not None and receiver.parent == server.pid:
                kept.append(receiver)
            else:
                send(receiver.pid, signal.SIGKILL)
        return kept

    def _waits_at_latch(self) -> bool:
        """Tell whether Postgres's startup process itself is seen waiting at this latch: it can start no receiver."""
        try:
            pid, _, seen = (self._home / WAITING).read_text().partition(" ")
            return seen == (self._home / LATCH).read_text() and pid.isdigit() and descends_from_startup(int(pid))
        except FileNotFoundError:
            return False

    async def _is_told(self, receivers: list[Process], address: str, *, leads: bool) -> bool:
        """Tell whether what comes once the latch is gone does not stream from the latch's leader.

        That a receiver has to end says nothing of the next one: a leader's address may be lost, and found again.
        Once the server has loaded that of another leader, its Patroni has seen that one's term, and sees none older.
        """
        if leads:
            return await self._is_promoting(receivers)
        try:
            loaded = await self._ask("SHOW primary_conninfo", receivers)
        except RefusedError as error:
            self._say("not told", asked="primary_conninfo", state=error.state)
            return False
        return self._restarted_with(address) if loaded is None else self._names(loaded, address)

    async def _ask(self, query: str, receivers: list[Process]) -> str | None:
        """Ask the server; where it takes no sessions let receivers that have to end do so.

        A server that is stopping would wait for them for ever. The latch is still there for those that come.
        """
        answer = await ask(self._sockets, self._port, query)
        for receiver in receivers if answer is None else ():
            send(receiver.pid, signal.SIGCONT)
        return answer

    async def _is_promoting(self, receivers: list[Process]) -> bool:
        """Tell whether the startup process promotes, or will before anything else.

        Until it has taken the request there is the file, and who wrote that has signalled before it ended. From then on
        the server refuses to touch the replay, which it else does not change by going on where nobody paused it.
        """
        if (self._data / "promote").exists():
            return not is_promoting(self._data)
        try:
            await self._ask("SELECT pg_wal_replay_resume()", receivers)
        except RefusedError as error:
            return error.state == NOT_IN_PREREQUISITE_STATE
        return False

    def _restarted_with(self, address: str) -> bool:
        """Tell whether Postgres started after its configuration was seen to name this; else see to it that it does.

        A server that recovers waits at the latch before it takes sessions, and nobody can ask it what it has loaded.
        One that is stopped is started by Patroni, with the file as it is.
        """
        config = self._configured_conninfo()
        server = server_of(self._data)
        if server is None or config is None or not self._names(config, address):
            return False
        if self._seen_other_config is None or self._seen_other_config[0] != config:
            self._seen_other_config = (config, boot_ticks())
        if server.started > self._seen_other_config[1]:
            return True
        if time.monotonic() - self._restarted_at > _RESTART_SECONDS and self._waits_at_latch():
            self._restarted_at = time.monotonic()
            self._say("restart", reason="it recovers behind the latch with a configuration that nobody can ask it for")
            send(server.pid, signal.SIGINT)
        return False

    def _names(self, conninfo: str, address: str) -> bool:
        """Tell whether a conninfo names this address, and that is not the latched leader's."""
        named = f"host={address} " in f"{conninfo.replace(chr(39), ' ')} "
        return bool(address) and named and address != self._latched_address()

    def _configured_conninfo(self) -> str | None:
        try:
            lines = (self._data / "postgresql.conf").read_text().splitlines()
        except FileNotFoundError:
            return None
        return next((line for line in reversed(lines) if line.startswith("primary_conninfo")), None)

    def _latched_address(self) -> str:
        try:
            return (self._home / LATCH).read_text().partition("\n")[2].strip()
        except FileNotFoundError:
            return ""


def boot_ticks() -> int:
    """Return now in the kernel's ticks since boot, as processes' starts are counted."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def write_durably(path: Path, text: str) -> None:
    """Write a file so that it is there, whole, after a power loss; or the one before it is."""
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.rename(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
