"""Images in the nodes: which a node has, and loading archives into several nodes at once."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hms.cluster.archive import archive_images
from hms.errors import ClusterError, ImageError

IMPORT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class ImageStore:
    """The images of one node, reached through its containerd's socket."""

    node: str
    socket: Path
    ctr: str

    def _run(self, *arguments: str) -> str:
        argv = [self.ctr, "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=IMPORT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{self.node}: ctr {arguments[0]}: not done within {IMPORT_SECONDS:g} s") from error
        if done.returncode != 0:
            raise ClusterError(f"{self.node}: ctr {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def images(self) -> dict[str, str]:
        """Return the references that the node has, each with its digest."""
        lines = self._run("images", "list").splitlines()[1:]
        return {reference: digest for reference, _, digest, *_ in (line.split() for line in lines)}

    def load(self, archives: Mapping[Path, Mapping[str, str]]) -> list[str]:
        """Import the archives that hold an image which the node has not; return their images."""
        present = self.images()
        loaded = []
        for path, wanted in archives.items():
            if any(name not in present or digest not in ("", present[name]) for name, digest in wanted.items()):
                self._run("images", "import", "--digests=false", str(path))
                loaded += list(wanted)
        return loaded


def load_images(stores: Sequence[ImageStore], archives: Sequence[Path], progress: Callable[[str], None]) -> None:
    """Load archives into every node at once; an image that a node has is not loaded again.

    `ImageError` names an archive that is not there or holds no named image.
    """
    named: dict[Path, dict[str, str]] = {}
    for path in archives:
        if not path.is_file():
            raise ImageError(f"{path}: no such image archive", remedy="Build it with `hms images`.")
        named[path] = archive_images(path)
        if not named[path]:
            raise ImageError(f"{path}: its images have no name", remedy="Save it with a name and a tag.")
    with ThreadPoolExecutor(max_workers=len(stores)) as pool:
        for store, loaded in zip(stores, pool.map(lambda store: store.load(named), stores), strict=True):
            progress(f"{store.node}: {', '.join(loaded) if loaded else 'has every image'}")
