"""What must be put right: on disk before it is broken, so that even a drill that was killed leaves word of it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from drills.machines import Machines, process_started
from hms.errors import HmsError, KubectlError
from hms.kubectl import Kubectl

TRIES = 4
PAUSE_SECONDS = 1.0


class Thaw(msgspec.Struct, frozen=True, kw_only=True, tag="thaw"):
    """A control group of the test cluster was frozen."""

    cluster: str
    group: str


class Mend(msgspec.Struct, frozen=True, kw_only=True, tag="mend"):
    """A node of the test cluster was switched off, frozen or cut off."""

    cluster: str
    node: int


class Continue(msgspec.Struct, frozen=True, kw_only=True, tag="continue"):
    """A process of this machine was stopped; `started` tells it from a later one with its number."""

    process_id: int
    started: int


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """A process of this machine was stopped and is to be ended: whoever started it starts it anew."""

    process_id: int
    started: int


class InPod(msgspec.Struct, frozen=True, kw_only=True, tag="in-pod"):
    """A program is to be run in a container; nothing is owed any more once that pod is gone."""

    pod: str
    container: str
    argv: tuple[str, ...]
    does: str
    stdin: str = ""


Debt = Thaw | Mend | Continue | End | InPod

_DECODER = msgspec.json.Decoder(list[Debt])


def in_words(debt: Debt) -> str:
    """Return what is to be done about a debt."""
    match debt:
        case Thaw():
            return f"thaw {debt.group}"
        case Mend():
            return f"give node {debt.node} of cluster {debt.cluster} its power, its time and its cable"
        case Continue():
            return f"let process {debt.process_id} go on"
        case End():
            return f"end process {debt.process_id}, for another one to be started"
        case InPod():
            return f"{debt.does} in {debt.pod}"


class Debts:
    """The debts of the drills on one stack, newest last, in a file that outlives the drill.

    Paying one twice does no harm: each says what must be so, not what to change.
    """

    def __init__(self, path: Path, kubectl: Kubectl) -> None:
        self._path = path
        self._kubectl = kubectl

    def owed(self) -> list[Debt]:
        """Return what is owed; `HmsError` where the file cannot be read."""
        try:
            return _DECODER.decode(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise HmsError(
                f"{self._path}: cannot be read: {error}",
                remedy="It names what an earlier drill broke: `hms cluster up` mends a test cluster. Then remove it.",
            ) from error

    def owe(self, debt: Debt) -> None:
        """Note a debt, on disk before this returns."""
        self._write([*self.owed(), debt])

    def settle(self, progress: Callable[[str], None] = lambda _line: None) -> int:
        """Pay all debts and return how many there were; `HmsError` names those that could not be paid and stay noted.

        The machines come first: what is to be done in a pod needs them.
        """
        owed = self.owed()
        failed: list[tuple[Debt, HmsError]] = []
        newest_first = list(reversed(owed))
        for debt in sorted(newest_first, key=lambda debt: isinstance(debt, InPod)):
            progress(in_words(debt))
            try:
                self._pay(debt)
            except HmsError as error:
                failed.append((debt, error))
        if failed:
            self._write([debt for debt, _ in reversed(failed)])
            what = "; ".join(f"{in_words(debt)}: {error.message}" for debt, error in failed)
            raise HmsError(f"not put right: {what}", remedy=f"The next drill tries again; {self._path} has the list.")
        if owed:
            self._path.unlink()
        return len(owed)

    def _write(self, debts: list[Debt]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(msgspec.json.encode(debts))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self._path)

    def _pay(self, debt: Debt) -> None:
        match debt:
            case Thaw():
                Machines(debt.cluster).thaw(debt.group)
            case Mend():
                Machines(debt.cluster).mend(debt.node)
            case Continue():
                if process_started(debt.process_id) == debt.started:
                    os.kill(debt.process_id, signal.SIGCONT)
            case End():
                if process_started(debt.process_id) == debt.started:
                    os.kill(debt.process_id, signal.SIGKILL)
            case InPod():
                self._run_in_pod(debt)

    def _run_in_pod(self, debt: InPod) -> None:
        for attempt in range(TRIES):
            try:
                self._kubectl.exec(debt.pod, debt.container, debt.argv, stdin=debt.stdin or None, timeout_seconds=15)
            except KubectlError as error:
                if "NotFound" in error.stderr or "container not found" in error.stderr:
                    return
                if attempt == TRIES - 1:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return
