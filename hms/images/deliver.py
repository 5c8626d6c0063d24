"""Take image archives to where a cluster finds them: the test cluster, a kind cluster, or a registry."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hms.errors import ClusterError, ImageError
from hms.images.build import BUILD_SECONDS, quiet
from hms.images.builder import find_builder, run_logged
from hms.images.catalogue import DEFAULT_REGISTRY
from hms.images.oci import write_oci
from hms.images.store import ArchiveStore

NODE_SECONDS = 30.0


class _Layout(Protocol):
    def containerd_socket(self, number: int) -> Path:
        """Return the socket of a node's containerd."""


class _State(Protocol):
    @property
    def nodes(self) -> int:
        """How many nodes there are."""


class TestCluster(Protocol):
    """What we need of `hms.cluster.Cluster`, which is not loaded where only a reference is asked for."""

    @property
    def layout(self) -> _Layout:
        """Where its parts are."""

    def state(self) -> _State:
        """Return what it was made with."""

    def load_images(self, archives: Sequence[Path], progress: Callable[[str], None]) -> None:
        """Import archives into every node that does not have their images."""


def deliver(
    archives: Mapping[str, Path],
    *,
    cluster: TestCluster | None = None,
    kind: str | None = None,
    registry: str | None = None,
    progress: Callable[[str], None] = quiet,
) -> None:
    """Take the archives (by image name) to the test cluster, the kind cluster of that name, or the registry.

    Where nothing is named, the cluster has to find the images by itself, and nothing is done. `ImageError` if a
    program is missing or refuses.
    """
    if cluster is not None:
        _to_test_cluster(archives, cluster, progress)
    if kind is not None:
        _to_kind(archives, kind, progress)
    if registry is not None:
        _to_registry(archives, registry, progress)


def _to_test_cluster(archives: Mapping[str, Path], cluster: TestCluster, progress: Callable[[str], None]) -> None:
    store = ArchiveStore()
    with (
        store.lock(progress),
        tempfile.TemporaryDirectory(prefix=".to-", suffix=".partial", dir=store.home) as directory,
    ):
        sockets = [cluster.layout.containerd_socket(number + 1) for number in range(cluster.state().nodes)]
        together = Path(directory) / "images.tar"
        try:
            write_oci(list(archives.values()), together, present=set.intersection(*map(_layers_of_node, sockets)))
            cluster.load_images([together], progress)
        except (ClusterError, ImageError) as error:
            # A node may drop layers while we write, and other engines compress theirs: then each image goes whole.
            progress(f"images one by one, because: {error.message.splitlines()[0]}")
            cluster.load_images(list(archives.values()), progress)


def _layers_of_node(socket: Path) -> set[str]:
    """Return the digests that a node's containerd has; none if it does not answer."""
    if not socket.exists():
        return set()
    argv = ["ctr", "--address", str(socket), "--namespace", "k8s.io", "content", "ls", "--quiet"]
    try:
        listed = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=NODE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return set(listed.stdout.split())


def _to_kind(archives: Mapping[str, Path], name: str, progress: Callable[[str], None]) -> None:
    if shutil.which("kind") is None:
        raise ImageError("kind: not on the path", remedy="Install kind, or push the images with --push.")
    known = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=False).stdout.split()
    if name not in known:
        raise ImageError(
            f"kind cluster {name!r}: not there, there is {', '.join(known) or 'none'}",
            remedy=f"Run `kind create cluster --name {name}`.",
        )
    for image, archive in archives.items():
        progress(f"image {image}: loading into the kind cluster {name!r}")
        run_logged(
            ["kind", "load", "image-archive", str(archive), "--name", name],
            log=archive.parent / "logs" / "kind.log",
            what=f"load of the image {image!r} into the kind cluster {name!r}",
            timeout_seconds=BUILD_SECONDS,
        )


def _to_registry(archives: Mapping[str, Path], registry: str, progress: Callable[[str], None]) -> None:
    store, places = ArchiveStore(), (DEFAULT_REGISTRY, registry)
    with store.lock(progress) as lock:
        builder = find_builder(store.home)
        for image, archive in archives.items():
            local, remote = (f"{place.rstrip('/')}/{image}:{store.digest_of(archive)}" for place in places)
            progress(f"image {image}: pushing {remote}")
            calls = [] if builder.has(local) else [builder.load(archive)]
            for call in [*calls, builder.tag(local, remote), builder.push(remote)]:
                run_logged(
                    call,
                    log=store.home / "logs" / f"push-{image}.log",
                    what=f"push of {remote}",
                    held=[lock],
                    timeout_seconds=BUILD_SECONDS,
                )
