"""What the drill's pod says, as it says it: one stream of messages from all of its programs."""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from drills.wire import Effective, Failed, Message, Seen, Started, State, Stopped, WriterName, WriterStatus, decode

T = TypeVar("T")

RECONNECT_SECONDS = 0.2


class Feed:
    """The messages so far, and what they amount to. Any number of threads may add; any may wait.

    `steady_since_ns` is the pod's time since when the observer has called both engines steady without a break; 0 while
    it does not. `failures` are what the programs died of.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.state: State | None = None
        self.steady_since_ns = 0
        self.effective: dict[str, str] = {}
        self.statuses: dict[WriterName, WriterStatus] = {}
        self.started: dict[str, Started] = {}
        self.stopped: dict[str, Stopped] = {}
        self.failures: list[str] = []
        self.seen: list[Seen] = []
        self._unsteady: list[State] = []

    def add(self, message: Message) -> None:
        """Take in one message."""
        with self._changed:
            match message:
                case State():
                    steady = message.postgres.steady and message.redis.steady
                    if not steady:
                        self.steady_since_ns = 0
                        self._unsteady.append(message)
                    elif not self.steady_since_ns:
                        self.steady_since_ns = message.at_ns
                    self.state = message
                case WriterStatus():
                    self.statuses[message.writer] = message
                case Started():
                    self.started[message.trial] = message
                case Stopped():
                    self.stopped[message.trial] = message
                case Seen():
                    self.seen.append(message)
                case Effective():
                    self.effective = self.effective | message.values
                case Failed():
                    self.failures.append(message.reason)
            self._changed.notify_all()

    def wait(self, condition: Callable[["Feed"], T | None], timeout_seconds: float) -> T | None:
        """Return what `condition` returns as soon as it is not None, or None when time is up."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while (found := condition(self)) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                # A bound on each wait keeps Ctrl-C prompt: a thread in an endless wait does not see it.
                self._changed.wait(min(left, 0.5))
            return found

    def unsteady_between(self, from_ns: int, to_ns: int) -> str:
        """Return the first thing that was not steady in a span; empty if all was."""
        with self._changed:
            for state in self._unsteady:
                if from_ns <= state.at_ns <= to_ns:
                    return "; ".join(part.detail for part in (state.postgres, state.redis) if not part.steady)
        return ""

    def events_between(self, from_ns: int, to_ns: int) -> list[Seen]:
        """Return what was seen in a span, in order of time."""
        with self._changed:
            return sorted((seen for seen in self.seen if from_ns <= seen.at_ns <= to_ns), key=lambda seen: seen.at_ns)


class Follower:
    """Runs a command that prints lines for ever, and hands each line on; starts it anew whenever it ends.

    A command that repeats itself after a new start (`kubectl logs --follow`) is the receiver's to deal with.
    """

    def __init__(self, command: Sequence[str], on_line: Callable[[bytes], None], *, name: str) -> None:
        self._command = list(command)
        self._on_line = on_line
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the command and wait until it has ended."""
        with self._lock:
            self._stopped.set()
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
        self._thread.join(timeout=10)

    def restart(self) -> None:
        """End the command, which is then started anew."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                if self._stopped.is_set():
                    return
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            with self._process as process:
                for line in process.stdout or ():
                    self._on_line(line)
            self._stopped.wait(RECONNECT_SECONDS)


class Deduplicator:
    """Passes on each message of one program once, though its log is read from the beginning again and again.

    A program's messages are in order of its clock, which a restart of its container does not set back.
    """

    def __init__(self, deliver: Callable[[Message], None]) -> None:
        self._deliver = deliver
        self._last_ns = -1
        self._at_last: set[bytes] = set()

    def line(self, line: bytes) -> None:
        """Take one line of the log."""
        message = decode(line)
        if message is None or message.at_ns < self._last_ns or line in self._at_last:
            return
        if message.at_ns > self._last_ns:
            self._last_ns = message.at_ns
            self._at_last.clear()
        self._at_last.add(line)
        self._deliver(message)
