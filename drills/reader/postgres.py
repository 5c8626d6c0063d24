"""Reads from Postgres: the newest write of the trial that a member shows."""

from pathlib import Path
from typing import Literal

import psycopg

from drills.pg import PostgresConnection
from drills.reader.target import SEARCH_PAUSE_SECONDS, Found, Newest, failed
from drills.wire import PostgresSettings
from drills.writer.postgres import ATTEMPT_SECONDS
from drills.writer.primary import Primary
from hms.evidence import ReaderName

# By the index that the writer made: a walk through the table would disturb the writes beside it.
NEWEST = "SELECT max(split_part(key, ':', 2)::bigint) FROM drills.writes WHERE split_part(key, ':', 1) = %s"


class ReplicaConnection(PostgresConnection):
    """A connection that is good where its member is a replica."""

    async def is_writable(self) -> bool:
        """Ask whether the member is one that is read: a replica."""
        return not await super().is_writable()


class PostgresReader:
    """Asks the primary, or any one replica, until it breaks or changes its role."""

    def __init__(self, name: Literal["postgres-primary", "postgres-replica"], settings: PostgresSettings) -> None:
        self.name: ReaderName = name
        self._settings = settings
        self._kind = PostgresConnection if name == "postgres-primary" else ReplicaConnection
        self._password = Path(settings.password_file).read_text().strip()
        self._prefix = ""
        self._member = Primary(
            settings.members, self._dial,
            lanes=2, attempt_seconds=ATTEMPT_SECONDS, pause_seconds=SEARCH_PAUSE_SECONDS,
        )  # fmt: skip

    async def _dial(self, member: str) -> PostgresConnection:
        return await self._kind.open(member, self._settings, password=self._password)

    async def prepare(self, prefix: str) -> None:
        """Take note of the trial."""
        self._prefix = prefix

    async def read(self, newest: Newest) -> Found:
        """Ask for the newest write; one attempt. A replica that was promoted is left after its answer."""
        connection = await self._member.acquire(ATTEMPT_SECONDS)
        if connection is None:
            return failed("no such member", attempts=0)
        try:
            rows = await connection.execute(NEWEST, (self._prefix,), timeout_seconds=ATTEMPT_SECONDS)
            stays = self.name == "postgres-primary" or await connection.is_writable()
        except psycopg.Error as error:
            self._member.distrust(connection)
            return failed(error.sqlstate or "connection broke")
        except OSError as error:
            self._member.distrust(connection)
            return failed(type(error).__name__)
        if stays:
            self._member.release(connection)
        else:
            self._member.distrust(connection)
        seen = rows[0][0]
        return Found(ok=True, seen=-1 if seen is None else int(seen))

    async def close(self) -> None:
        """Close all connections."""
        await self._member.close()
