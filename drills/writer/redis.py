"""Writes to Redis as a good client does: every node is asked for its role as soon as a connection breaks."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from drills.patience import within
from drills.resp import RedisConnection, Reply, ReplyError, info
from drills.wire import RedisSettings, WriterName, short_name
from drills.writer.primary import Primary
from drills.writer.target import ACKNOWLEDGED, Contents, Told

ATTEMPT_SECONDS = 0.5
CATCH_UP_SECONDS = 20.0
DIAL_SECONDS = 5.0  # to read back: nobody's write gap depends on it
SCAN_COUNT = "1000"


class RoleConnection(RedisConnection):
    """A connection that knows when its node takes writes."""

    minimum_replicas = 0

    async def is_writable(self) -> bool:
        """Ask the node its `ROLE`: a master with as many replicas as a write needs."""
        try:
            role = await self.ask("ROLE")
        except ReplyError:
            return False  # LOADING: it is there and takes nothing yet
        return is_writable_role(role, minimum_replicas=self.minimum_replicas)


def is_writable_role(role: Reply, *, minimum_replicas: int) -> bool:
    """Say whether a reply to `ROLE` is that of a master which has at least `minimum_replicas` replicas."""
    match role:
        case ["master", _, list(replicas)]:
            return len(replicas) >= minimum_replicas
        case _:
            return False


def key_of(prefix: str, seq: int) -> str:
    """Return the key of a trial's write."""
    return f"drill:{prefix}:{seq}"


class RedisTarget:
    """Counts each key up from nothing with INCR: a write that happened twice shows as 2."""

    name: WriterName = "redis"

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._password = Path(settings.password_file).read_text().strip()
        self._prefix = ""
        self._primary = Primary(settings.nodes, self._dial, attempt_seconds=ATTEMPT_SECONDS)

    async def _dial(self, node: str) -> RoleConnection:
        settings = self._settings
        connection = await RoleConnection.open(node, settings.port, user=settings.user, password=self._password)
        connection.minimum_replicas = settings.minimum_replicas
        return connection

    async def prepare(self, prefix: str, next_seq: int) -> None:
        """Wait until a node takes writes."""
        self._prefix = prefix
        connection = await self._primary.acquire(CATCH_UP_SECONDS)
        if connection is None:
            raise TimeoutError(f"redis: no node took writes within {CATCH_UP_SECONDS:g} s")
        self._primary.release(connection)

    def key(self, seq: int) -> str:
        """Return `drill:<run and trial>:<seq>`."""
        return key_of(self._prefix, seq)

    async def write(self, key: str, begin: Callable[[], None]) -> Told:
        """Increment `key` on the master; one attempt."""
        connection = await self._primary.acquire(ATTEMPT_SECONDS)
        if connection is None:
            return Told("refused", "no node takes writes")
        try:
            await within(ATTEMPT_SECONDS, connection.ask("INCR", key, begin=begin))
        except ReplyError as error:
            self._primary.distrust(connection)
            return Told("refused", error.code)
        except OSError as error:
            self._primary.distrust(connection)
            return Told("unknown", type(error).__name__)
        self._primary.release(connection)
        return ACKNOWLEDGED

    async def contents(self) -> Contents:
        """Read each node's keys of this trial, the replicas' once they have the master's offset."""
        connection = await self._primary.acquire(CATCH_UP_SECONDS)
        if connection is None:
            raise TimeoutError("redis: no node takes writes")
        self._primary.release(connection)
        master = connection.member
        offset = int(info(await self._question(master, "INFO", "replication"))["master_repl_offset"])
        nodes: dict[str, dict[str, int]] = {}
        unread: list[str] = []
        for node in (master, *(node for node in self._settings.nodes if node != master)):
            try:
                nodes[short_name(node)] = await within(CATCH_UP_SECONDS, self._read(node, offset))
            except OSError as error:
                if node == master:
                    raise
                unread.append(f"{node}: {type(error).__name__}: {error}")
        return Contents(nodes, short_name(master), tuple(unread))

    async def _question(self, node: str, *words: str) -> Reply:
        connection = await within(DIAL_SECONDS, self._dial(node))
        try:
            return await connection.ask(*words)
        finally:
            connection.abandon()

    async def _read(self, node: str, offset: int) -> dict[str, int]:
        connection = await within(DIAL_SECONDS, self._dial(node))
        try:
            while _offset(info(await connection.ask("INFO", "replication"))) < offset:
                await asyncio.sleep(0.05)
            keys = await self._scan(connection)
            found: dict[str, int] = {}
            for start in range(0, len(keys), 1000):
                some = keys[start : start + 1000]
                values = await connection.ask("MGET", *some)
                if isinstance(values, list):
                    pairs = zip(some, values, strict=True)
                    found.update({key: int(value) for key, value in pairs if isinstance(value, str)})
            return found
        except ReplyError as error:
            raise ConnectionError(f"{node}: {error}") from error
        finally:
            connection.abandon()

    async def _scan(self, connection: RedisConnection) -> list[str]:
        keys: set[str] = set()
        cursor = "0"
        while True:
            match await connection.ask("SCAN", cursor, "MATCH", f"drill:{self._prefix}:*", "COUNT", SCAN_COUNT):
                case [str(cursor), list(page)]:
                    keys.update(str(key) for key in page)
                case other:
                    raise ConnectionError(f"SCAN answered {other!r}")
            if cursor == "0":
                return sorted(keys)

    async def discard(self) -> None:
        """Unlink this trial's keys."""
        connection = await self._primary.acquire(ATTEMPT_SECONDS)
        if connection is None:
            raise TimeoutError("redis: no node takes writes")
        try:
            keys = await self._scan(connection)
            for start in range(0, len(keys), 1000):
                await connection.ask("UNLINK", *keys[start : start + 1000])
        except (ReplyError, OSError) as error:
            self._primary.distrust(connection)
            raise ConnectionError(f"redis: {error}") from error
        self._primary.release(connection)

    async def close(self) -> None:
        """Close all connections."""
        await self._primary.close()


def _offset(replication: dict[str, str]) -> int:
    """Return how far a node is in the stream, whichever role it has."""
    name = "slave_repl_offset" if replication.get("role") == "slave" else "master_repl_offset"
    return int(replication.get(name, "-1"))
