"""Can the generator reach the whole app? A pod that has just begun cannot at once.

A node lets a new pod's packets in when it has heard of its address, the nodes one after the other, and a busy one
late. A connection that is refused or lost until then is tried again by the kernel after 1 s and after 3 s, and the run
would show those seconds as the app's. That it explains a p99 of 3.3 s, seen at a load's begin, is likely and not shown.
"""

import time
from urllib.parse import urlsplit

from gevent import sleep, socket

IN_A_ROW = 20
"""The Service picks a pod for each connection: of two pods the one that drops is missed once in a million times."""
CONNECT_SECONDS = 0.3
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 15.0


def await_reach(
    url: str, *, in_a_row: int = IN_A_ROW, connect_seconds: float = CONNECT_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> bool:  # fmt: skip
    """Return True as soon as so many connections in a row stood at once, False when the patience is over.

    What is not reached by then is for the run to show: nothing is kept from it.
    """
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    deadline = time.monotonic() + patience_seconds
    stood = 0
    while time.monotonic() < deadline:
        try:
            socket.create_connection(address, timeout=connect_seconds).close()
        except OSError:
            stood = 0
            sleep(PAUSE_SECONDS)
            continue
        stood += 1
        if stood >= in_a_row:
            return True
    return False
