"""Timers as the running engines state them: Patroni raises low values with no more than a log line."""

import asyncio
from pathlib import Path

import psycopg

from drills.patience import within
from drills.pg import PostgresConnection
from drills.resp import RedisConnection, ReplyError, fields
from drills.web import request
from drills.wire import PostgresSettings, RedisSettings, Settings

PATRONI = (
    "ttl", "loop_wait", "retry_timeout", "maximum_lag_on_failover", "primary_start_timeout", "synchronous_mode",
    "synchronous_node_count", "failsafe_mode",
)  # fmt: skip
POSTGRES = (
    "server_version", "synchronous_commit", "synchronous_standby_names", "wal_sender_timeout", "wal_receiver_timeout",
    "tcp_user_timeout", "fsync", "full_page_writes", "checkpoint_timeout", "max_connections",
)  # fmt: skip
SENTINEL = ("down-after-milliseconds", "failover-timeout", "parallel-syncs", "quorum")
REDIS = ("min-replicas-to-write", "min-replicas-max-lag", "appendonly", "appendfsync", "maxmemory", "maxmemory-policy")

PATIENCE_SECONDS = 3.0


async def effective_timers(settings: Settings) -> dict[str, str]:
    """Return each setting under the engine's name and its own; what does not answer is left out."""
    parts = await asyncio.gather(
        _patroni(settings.postgres),
        _postgres(settings.postgres),
        _redis(settings.redis),
        _sentinel(settings.redis),
        return_exceptions=True,
    )
    values: dict[str, str] = {}
    for part in parts:
        if isinstance(part, dict):
            values |= part
        elif not isinstance(part, OSError | ReplyError | psycopg.Error):
            raise part
    return values


async def _patroni(settings: PostgresSettings) -> dict[str, str]:
    host = settings.members[0]
    async with asyncio.timeout(PATIENCE_SECONDS):
        document = (await request("GET", host, settings.rest_port, "/config")).json()
    return {f"patroni {name}": str(document[name]) for name in PATRONI if name in document}


async def _postgres(settings: PostgresSettings) -> dict[str, str]:
    password = Path(settings.password_file).read_text().strip()
    for member in settings.members:
        connection = await within(PATIENCE_SECONDS, PostgresConnection.open(member, settings, password=password))
        try:
            if await connection.is_writable():
                query = "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)"
                rows = await connection.execute(query, (list(POSTGRES),))
                return {f"postgres {name}": str(value) for name, value in rows}
        finally:
            connection.abandon()
    return {}


async def _redis(settings: RedisSettings) -> dict[str, str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        connection = await _open(settings, settings.nodes[0], settings.port)
        try:
            found: dict[str, str] = {}
            for name in REDIS:
                found |= fields(await connection.ask("CONFIG", "GET", name))
            return {f"redis {name}": value for name, value in found.items()}
        finally:
            connection.abandon()


async def _sentinel(settings: RedisSettings) -> dict[str, str]:
    if not settings.sentinels:
        return {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        connection = await _open(settings, settings.sentinels[0], settings.sentinel_port)
        try:
            found = fields(await connection.ask("SENTINEL", "MASTER", settings.master_name))
            return {f"sentinel {name}": found[name] for name in SENTINEL if name in found}
        finally:
            connection.abandon()


async def _open(settings: RedisSettings, host: str, port: int) -> RedisConnection:
    password = Path(settings.password_file).read_text().strip()
    return await RedisConnection.open(host, port, user=settings.user, password=password)
