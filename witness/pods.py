"""Which pods are gone: the one certain sign of a leader's end that does not come from the leader.

A pod that was deleted by force may live on for seconds, answer probes and acknowledge; but the API server takes no
renewal from it any more (`infra/own_pod.py`), so its lease is over. A pod's uid never comes again.
"""

from collections import deque
from collections.abc import Collection

MOST_REMEMBERED = 32


class Pods:
    """The members' pods by uid, as the API server lists and tells them."""

    def __init__(self) -> None:
        self._there: set[str] = set()
        self._gone: deque[str] = deque(maxlen=MOST_REMEMBERED)

    def listed(self, uids: Collection[str]) -> None:
        """Take a list of all: who was there and is not in it is gone."""
        for uid in self._there.difference(uids):
            self.told(uid, deleted=True)
        self._there = set(uids)

    def told(self, uid: str, *, deleted: bool) -> None:
        """Take an event of one."""
        if deleted:
            self._there.discard(uid)
            self._gone.append(uid)
        else:
            self._there.add(uid)

    def is_gone(self, uid: str) -> bool:
        """Tell whether a pod was there and is no more. One that was never seen is not."""
        return uid in self._gone
