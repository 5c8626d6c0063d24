"""What a standby that was fenced may lack of its leader's log, by what the two Patronis say of it.

Without memory: whoever begins anew asks the leader anew, and waits for a little more than he would have to.
"""

import asyncio
import json
from typing import Any

LARGEST_BYTES = 65536
PATIENCE_SECONDS = 1.0


async def patroni_says(host: str, port: int) -> dict[str, Any]:
    """Return what a member's Patroni says of its server; `OSError` or `ValueError` where it does not."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /patroni HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                text = await reader.read(LARGEST_BYTES)
                while more := await reader.read(LARGEST_BYTES):
                    text += more
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise OSError(f"{host}:{port}: no answer for {PATIENCE_SECONDS:g} s") from None
    said = json.loads(text.partition(b"\r\n\r\n")[2])
    if not isinstance(said, dict):
        raise ValueError(f"{host}:{port}: {said!r} is no status")
    return said


class Debt:
    """Paid once this standby has flushed what the leader had flushed at some time after the last fence."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._owed: int | None = None  # a position in the log, in bytes

    def begin(self) -> None:
        """Forget what was asked before a fence."""
        self._owed = None

    async def is_paid(self, leader: str) -> bool:
        """Ask the leader at this address, once, and then this standby; False too where nobody says."""
        if not leader:
            return False
        try:
            if self._owed is None:
                self._owed = flushed_of_primary(await patroni_says(leader, self._port))
            return self._owed is not None and has_flushed(await patroni_says("127.0.0.1", self._port), self._owed)
        except (OSError, ValueError):
            return False


def flushed_of_primary(status: dict[str, Any]) -> int | None:
    """Return up to where a primary has flushed its log, `pg_current_wal_flush_lsn`; None if it is none."""
    location = _of_log(status, "location")
    return location if status.get("role") in {"primary", "master"} else None


def has_flushed(status: dict[str, Any], position: int) -> bool:
    """Tell whether a standby has flushed so much of its log, `pg_last_wal_receive_lsn`."""
    received = _of_log(status, "received_location")
    return status.get("role") == "replica" and received is not None and received >= position


def _of_log(status: dict[str, Any], name: str) -> int | None:
    log = status.get("xlog")
    found = log.get(name) if isinstance(log, dict) else None
    return found if isinstance(found, int) else None
