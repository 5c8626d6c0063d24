"""Where hosts are, by their names: asked of the resolver for each new connection, and never waited for without need.

A resolver that is silent holds a thread for ten seconds and more, and there are only a few: with half of a cluster's
DNS on a node that is gone, who asks for each connection soon has no thread left to ask from. So a host is asked for
once at a time, and while an answer is late the last one is used. A name that does not exist is believed at once.
"""

import asyncio
import socket

_PATIENCE_SECONDS = 0.1
"""How long an answer is waited for that would replace a known one: DNS in a cluster takes a few milliseconds."""
_DOES_NOT_EXIST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


class Names:
    """The addresses of hosts as they were last told."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._asking: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    async def of(self, host: str) -> tuple[str, ...]:
        """Return a host's addresses, one at least; `OSError` where it has none, or none was ever known."""
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = asyncio.create_task(self._ask(host))
            asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        known = self._known.get(host)
        if known is None:
            return await asyncio.shield(asking)
        await asyncio.wait({asking}, timeout=_PATIENCE_SECONDS)
        if asking.done() and (asking.exception() is None or host not in self._known):
            return asking.result()
        return known

    async def _ask(self, host: str) -> tuple[str, ...]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _DOES_NOT_EXIST:
                self._known.pop(host, None)
            raise
        finally:
            del self._asking[host]
        self._known[host] = told = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        return told


NAMES = Names()
"""What this process knows; names are the same for all of it."""
