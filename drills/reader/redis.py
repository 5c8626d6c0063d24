"""Reads from Redis: which of the newest writes the primary shows."""

from pathlib import Path

from drills.patience import within
from drills.reader.target import SEARCH_PAUSE_SECONDS, Found, Newest, failed
from drills.resp import ReplyError
from drills.wire import RedisSettings
from drills.writer.primary import Primary
from drills.writer.redis import ATTEMPT_SECONDS, RoleConnection, key_of
from hms.evidence import ReaderName

# Redis keeps no order among keys, so a read asks for the newest acknowledged ones by name: two seconds of writes.
WINDOW = 100
FEW = 10
"""Of them, asked for first: a master that lacks nothing shows one of these, and the rest need not be asked for."""


class RedisReader:
    """Asks the master for the last `WINDOW` acknowledged keys, the newest first; who lacks all counts as that old."""

    name: ReaderName = "redis-primary"

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._password = Path(settings.password_file).read_text().strip()
        self._prefix = ""
        self._master = Primary(
            settings.nodes, self._dial,
            lanes=2, attempt_seconds=ATTEMPT_SECONDS, pause_seconds=SEARCH_PAUSE_SECONDS,
        )  # fmt: skip

    async def _dial(self, node: str) -> RoleConnection:
        return await RoleConnection.open(
            node, self._settings.port, user=self._settings.user, password=self._password
        )  # a master without replicas takes no writes, and answers reads

    async def prepare(self, prefix: str) -> None:
        """Take note of the trial."""
        self._prefix = prefix

    async def read(self, newest: Newest) -> Found:
        """Ask for the newest keys; one attempt."""
        connection = await self._master.acquire(ATTEMPT_SECONDS)
        if connection is None:
            return failed("no master", attempts=0)
        last = newest()
        first = max(0, last - WINDOW + 1)
        try:
            seen = await within(ATTEMPT_SECONDS, self._newest_of(connection, max(first, last - FEW + 1), last + 2))
            if seen is None:
                seen = await within(ATTEMPT_SECONDS, self._newest_of(connection, first, last + 2))
            role = await within(ATTEMPT_SECONDS, connection.is_writable())
        except ReplyError as error:
            self._master.distrust(connection)
            return failed(error.code)
        except OSError as error:
            self._master.distrust(connection)
            return failed(type(error).__name__)
        if role:
            self._master.release(connection)
        else:
            self._master.distrust(connection)  # demoted: its answer was what a client got, and counts
        return Found(ok=True, seen=first - 1 if seen is None else seen)

    async def _newest_of(self, connection: RoleConnection, first: int, end: int) -> int | None:
        """Return the highest number from `first` up to before `end` whose key is there."""
        answer = await connection.ask("MGET", *(key_of(self._prefix, seq) for seq in range(first, end)))
        values = answer if isinstance(answer, list) else []
        return max((seq for seq, value in enumerate(values, start=first) if value is not None), default=None)

    async def close(self) -> None:
        """Close all connections."""
        await self._master.close()
