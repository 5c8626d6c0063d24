"""A primary that another has replaced, and that its own Patroni does not end: its witness does.

A Patroni that hangs over a Postgres that serves leaves a primary that acknowledges nothing more, since its standbys
have left it, but goes on answering whoever reads from it, with what is no longer so.
"""

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from witness.processes import Server, send, server_of

STANDBY_SIGNALS = ("standby.signal", "recovery.signal")


def primary_of(data: Path) -> Server | None:
    """Return the server of a data directory if it runs and is no standby; one that is being promoted is one still."""
    server = server_of(data)
    return None if server is None or any((data / name).exists() for name in STANDBY_SIGNALS) else server


async def end_deposed(data: Path, me: str, ask_leader: Callable[[], Awaitable[str | None]]) -> str | None:
    """End this member's server if it is a primary and another member leads; return who, or None if nothing was done.

    `ask_leader` asks the API server who leads now; None where that is nobody or not known. It is asked after the server
    was seen to be a primary. A member has the key before it is promoted, so one that has it no more has lost it since.
    It is stopped as Patroni stops one that has lost its key: at once, by SIGQUIT.
    """
    server = primary_of(data)
    if server is None:
        return None
    leader = await ask_leader()
    if leader is None or leader == me or primary_of(data) != server:
        return None
    send(server.pid, signal.SIGQUIT)
    return leader
