"""What the stack's containers logged during a trial. The kubelet removes a pod's logs with the pod; these stay.

On a test cluster the files are opened before the fault, on the nodes' own file systems: what is open can be read to its
end though it is deleted, and nobody is asked for anything while clients are measured. Any other cluster is asked once,
afterwards, for the pods that it has then.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from drills.machines import Machines
from drills.pod import NAME as DRILL_POD
from hms.errors import KubectlError
from hms.kubectl import Kubectl

FOLDER = "logs"
OF_THE_STACK = "app.kubernetes.io/part-of=hms"
MOST_STREAMS = 100


class Logs(Protocol):
    """The logs of one trial. They are in the evidence for a person to read; no verdict rests on them."""

    def begin(self) -> None:
        """Keep what is logged from now on."""

    def end(self) -> dict[str, bytes]:
        """Return what was logged since, by file name, and let go. Called again it returns nothing."""


def logs_of(kubectl: Kubectl, machines: Machines | None) -> Logs:
    """Return the logs of a stack; `kubectl` is within its namespace."""
    return AskedLogs(kubectl) if machines is None else OpenLogs(machines.log_directories(), kubectl.namespace)


class OpenLogs:
    """The log files of a namespace's pods on the nodes: `<namespace>_<pod>_<uid>/<container>/<n>.log`."""

    def __init__(self, directories: tuple[Path, ...], namespace: str) -> None:
        self._directories = directories
        self._namespace = namespace
        self._open: dict[Path, BinaryIO] = {}

    def begin(self) -> None:
        """Open every file at its end."""
        self.end()
        self._open_new()
        for file in self._open.values():
            file.seek(0, 2)

    def end(self) -> dict[str, bytes]:
        """Return what came since, of pods that came and of pods that went; a pod is told by its name and its uid."""
        if self._open:
            self._open_new()
        kept = {}
        for path, file in self._open.items():
            with file:
                if content := file.read():
                    _, pod, uid = path.parts[-3].split("_")
                    kept[f"{FOLDER}/{pod}.{uid[:8]}.{path.parts[-2]}.{path.name}"] = content
        self._open = {}
        return kept

    def _open_new(self) -> None:
        for path in self._found():
            if path not in self._open:
                try:
                    self._open[path] = path.open("rb")
                except FileNotFoundError:
                    continue  # Its pod went in this moment.

    def _found(self) -> Iterator[Path]:
        for directory in self._directories:
            for path in sorted(directory.glob(f"{self._namespace}_*/*/*.log")):
                if not path.parts[-3].startswith(f"{self._namespace}_{DRILL_POD}_"):
                    yield path


class AskedLogs:
    """The logs that the API server still has afterwards, in one file, each line with its pod and its time."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._since = ""

    def begin(self) -> None:
        """Note the time, with a second to spare for clocks that differ."""
        self._since = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()

    def end(self) -> dict[str, bytes]:
        """Ask; an answer that is refused is what is kept, with its reason."""
        since, self._since = self._since, ""
        if not since:
            return {}
        options = ("--all-containers", "--prefix", "--timestamps", "--tail=-1", f"--max-log-requests={MOST_STREAMS}")
        try:
            said = self._kubectl.run("logs", f"--selector={OF_THE_STACK},app.kubernetes.io/name!={DRILL_POD}",
                                     f"--since-time={since}", *options, timeout_seconds=60)  # fmt: skip
        except KubectlError as error:
            said = f"not kept: {error.message}\n"
        return {f"{FOLDER}/all.log": said.encode()} if said else {}
