"""Is the leader silent? Its Patroni is asked, and where that is slow to answer its Postgres beside it.

A TCP connect proves nothing, since the kernel of a frozen process accepts it: Patroni must answer its `/liveness`, or
Postgres an SSLRequest, which costs it one byte and no session. Only when neither does, several times in a row, is the
leader silent. A Patroni that hangs over a Postgres that serves is a matter of its lease (`lease.py`), the reverse is
Patroni's own.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable
from dataclasses import dataclass

SSL_REQUEST = struct.pack("!II", 8, 80877103)  # PostgreSQL's manual, "Message Formats"
HEDGE_SHARE = 0.25
"""After this part of its patience a probe of Patroni asks Postgres too: at rest no server process is forked for us."""


async def http_answers(host: str, port: int, path: str) -> bool:
    """Tell whether a server says anything at all, be it that it is not well; `OSError` where it cannot."""
    return await _first_byte(host, port, f"GET {path} HTTP/1.0\r\n\r\n".encode()) == b"H"


async def postgres_answers(host: str, port: int) -> bool:
    """Tell whether a postmaster answers an SSLRequest; `OSError` where it cannot."""
    return await _first_byte(host, port, SSL_REQUEST) in {b"S", b"N"}


async def _first_byte(host: str, port: int, question: bytes) -> bytes:
    """Return the first byte of an answer, from an IP address; empty if the other closes without one.

    On a bare socket: with a stream around it, ten times a second, this was most of what a witness costs at rest.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, (host, port))
        await loop.sock_sendall(connection, question)
        return await loop.sock_recv(connection, 1)


@dataclass(frozen=True, slots=True)
class Probe:
    """What one probe found: whether anyone answered, whether it was Patroni, or this process was late itself.

    Who was late has found nothing by silence.
    """

    answered: bool
    late: bool
    patroni: bool


async def probe(host: str, patroni_port: int, postgres_port: int, patience_seconds: float) -> Probe:
    """Ask the leader once. It is over when Patroni answers, when both have answered or refused, or patience ends."""
    began = time.monotonic()
    first = asyncio.ensure_future(_answers(http_answers(host, patroni_port, "/liveness")))
    both = {first}
    try:
        done, waiting = await asyncio.wait(both, timeout=patience_seconds * HEDGE_SHARE)
        if not (done and first.result()):
            second = asyncio.ensure_future(_answers(postgres_answers(host, postgres_port)))
            both.add(second)
            waiting.add(second)
        while waiting and not (first.done() and first.result()):
            left = patience_seconds - (time.monotonic() - began)
            done, waiting = await asyncio.wait(waiting, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
        answered = any(task.done() and task.result() for task in both)
        patroni = first.done() and first.result()
    finally:
        unended = [task for task in both if task.cancel()]
        if unended:
            await asyncio.gather(*unended, return_exceptions=True)
    # Who was not running when an answer came, or when its patience ended, knows nothing of the other.
    late = time.monotonic() - began > patience_seconds * 1.5
    return Probe(answered, late, patroni)


async def _answers(asked: Awaitable[bool]) -> bool:
    try:
        return await asked
    except OSError:
        return False


class Suspicion:
    """Counts a leader's failed probes in a row. Another leader, or a new term, begins anew."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self._of: tuple[str, str] | None = None
        self._failed = 0
        self._trusted = True

    def begin(self, leader: str, term: str, *, silent: bool = False) -> None:
        """Begin with a leader and its term, if another is counted; `silent`: it is suspected until it answers."""
        if self._of != (leader, term):
            self._of, self._failed = (leader, term), self._failures if silent else 0

    def count(self, leader: str, term: str, found: Probe) -> None:
        """Count a probe of this leader in this term; one of another, or of a witness that was late, is nothing."""
        if self._of != (leader, term) or (found.late and not found.answered):
            return
        self._failed = 0 if found.answered else self._failed + 1

    def suspects(self, leader: str, term: str) -> bool:
        """Tell whether this leader is silent in this term."""
        return self._of == (leader, term) and self._failed >= self._failures
