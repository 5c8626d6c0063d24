"""What one `hms prove` keeps between runs, so that the next one can go on or take away what it finds.

It lives in the state directory, one for each stack and cluster: a lock, the stack's private configuration with
encrypted secrets, Pulumi's state and passphrase, and a note of whether the cluster is ours to remove.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hms.errors import HmsError
from hms.paths import state_home
from hms.stack.home import ensure_passphrase
from hms.stack.settings import PROJECT, stack_file

CLUSTER_SETTINGS = ("testCluster", "kubeconfig", "context")


class ProveHome:
    """The directory of a prove of `stack` on `cluster`."""

    def __init__(self, stack: str, cluster: str) -> None:
        self.path = state_home() / "prove" / f"{stack}@{cluster}"
        self.stack = stack
        self._lock_file = state_home() / "prove" / f"{stack}@{cluster}.lock"
        self._made_cluster = self.path / "made-cluster"

    @property
    def config_file(self) -> Path:
        """The stack's configuration for this run: the checkout's, plus secrets of its own."""
        return self.path / f"Pulumi.{self.stack}.yaml"

    @property
    def passphrase_file(self) -> Path:
        """The passphrase of the encrypted secrets and of Pulumi's state; readable by its owner alone."""
        return self.path / "passphrase"

    @property
    def backend_url(self) -> str:
        """Where Pulumi keeps the state of this stack."""
        return f"file://{self.path / 'pulumi'}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home for one process; a second one is told who holds it."""
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise HmsError(
                    f"hms prove: another one works on {self.path.name} (process {file.read().strip() or 'unknown'})",
                    remedy="Wait for it, or give this one a cluster of its own: hms prove --cluster NAME",
                ) from None
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            yield

    @property
    def continues(self) -> bool:
        """Whether an earlier run left a stack here."""
        return self.config_file.exists()

    def prepare(self, cluster: Mapping[str, str]) -> None:
        """Make the home, or bring its configuration up to the checkout's while its secrets stay.

        `cluster` are the settings that choose the cluster, in place of those that the stack's file has.
        """
        source = stack_file(self.stack)
        (self.path / "pulumi").mkdir(parents=True, exist_ok=True)
        ensure_passphrase(self.passphrase_file)
        self._write_config(source, cluster)

    def _write_config(self, source: Path, cluster: Mapping[str, str]) -> None:
        """Take the checkout's configuration, and over it what an earlier run of ours encrypted."""
        wanted: dict[str, Any] = yaml.safe_load(source.read_text()) or {}
        settings: dict[str, Any] = wanted.setdefault("config", {})
        for key in CLUSTER_SETTINGS:
            settings.pop(f"{PROJECT}:{key}", None)
        settings.update({f"{PROJECT}:{key}": value for key, value in cluster.items()})
        if self.config_file.exists():
            had: dict[str, Any] = yaml.safe_load(self.config_file.read_text()) or {}
            wanted.update({key: value for key, value in had.items() if key.startswith("encrypt")})
            encrypted = {k: v for k, v in had.get("config", {}).items() if isinstance(v, dict) and "secure" in v}
            settings.update(encrypted)
        partial = self.config_file.with_suffix(".partial")
        partial.write_text(yaml.safe_dump(wanted))
        os.replace(partial, self.config_file)

    @property
    def made_cluster(self) -> bool:
        """Whether the test cluster was made by a prove, and so is a prove's to remove."""
        return self._made_cluster.exists()

    def note_made_cluster(self) -> None:
        """Note, before the cluster is made, that it will be ours."""
        self._made_cluster.touch()

    def remove(self) -> None:
        """Forget everything: the stack and its cluster are gone."""
        shutil.rmtree(self.path, ignore_errors=True)
