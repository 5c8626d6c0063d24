"""What a test cluster must remember: its index, size and port. Which processes it has is asked of the kernel."""

import re
from pathlib import Path

import msgspec

from hms.cluster.files import write_whole
from hms.errors import ClusterError, UsageError

NAME_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?")


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as it was made. `api_port` is on 127.0.0.1 of the host; 0 until the control plane first ran."""

    schema: int = 1
    name: str
    index: int
    nodes: int
    api_port: int = 0


def validated_name(name: str) -> str:
    """Return `name`; `UsageError` if it cannot be part of a directory's, a cgroup's and a context's name."""
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"--name {name!r}: 1 to 20 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
            remedy="Choose another name.",
        )
    return name


def read_state(home: Path) -> ClusterState | None:
    """Return the state in the run directory, or nothing if there is none; `ClusterError` if it cannot be read."""
    path = home / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=ClusterState)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ClusterError(
            f"{path}: not a cluster's state: {error}", remedy="Run `hms cluster down`, then up."
        ) from error


def write_state(home: Path, state: ClusterState) -> None:
    """Write the state whole."""
    write_whole(home / "state.json", msgspec.json.format(msgspec.json.encode(state)) + b"\n")
