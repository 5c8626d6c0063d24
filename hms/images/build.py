"""Build the images that are not there, once however many commands ask."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from hms.errors import ImageError
from hms.images.builder import Builder, find_builder, run_logged
from hms.images.catalogue import DEBIAN_AS_OF, DEFAULT_REGISTRY, IMAGES, Image
from hms.images.content import ContentFile, base_of, content, digest_of, find, stage
from hms.images.debian import ensure_debian
from hms.images.store import ArchiveStore, read_facts
from hms.paths import project_root

BUILD_SECONDS = 1800.0
NEED_BYTES = 4 * 1024**3
STORAGE_LIMIT_BYTES = 8 * 1024**3

Progress = Callable[[str], None]


def quiet(_line: str) -> None:
    """Take a line of progress and show it to nobody."""


class _Recipe:
    """One image with its content read once, so that what is built is what its digest says."""

    def __init__(self, image: Image, root: Path) -> None:
        self.image = image
        self.files: tuple[ContentFile, ...] = content(image, root)
        self.digest = digest_of(self.files, base_of(image, root))
        self.tag = f"{DEFAULT_REGISTRY}/{image.name}:{self.digest}"


def build(names: Collection[str] = tuple(IMAGES), *, progress: Progress = quiet) -> dict[str, Path]:
    """Return the archive of each image by name, built where it is not there.

    `ImageError` if a name is unknown, no program builds images, the base cannot be had, there is no room, or a build
    fails; an interrupted build leaves nothing that the next one trips over.
    """
    return build_images([find(name) for name in names], root=project_root(), store=ArchiveStore(), progress=progress)


def build_images(
    images: Sequence[Image], *, root: Path, store: ArchiveStore, progress: Progress = quiet
) -> dict[str, Path]:
    """Do as `build` does, for images of any checkout `root` and with any `store`."""
    recipes = [_Recipe(image, root) for image in images]
    missing = [recipe for recipe in recipes if store.get(recipe.image.name, recipe.digest) is None]
    if missing:
        with store.lock(progress) as lock:
            still_missing = [recipe for recipe in missing if store.get(recipe.image.name, recipe.digest) is None]
            if still_missing:
                _Job(root, store, lock, progress).make_archives(still_missing)
    return {recipe.image.name: store.path(recipe.image.name, recipe.digest) for recipe in recipes}


def require_room(home: Path, *, need_bytes: int = NEED_BYTES) -> None:
    """Raise `ImageError` if the disk of `home` has too little room for builds."""
    free = shutil.disk_usage(home).free
    if free < need_bytes:
        raise ImageError(
            f"{home}: {free / 1024**3:.1f} GiB free, building images needs {need_bytes / 1024**3:.0f} GiB",
            remedy="Make room, or set XDG_CACHE_HOME to a directory on a larger disk.",
        )


def build_secrets(environment: Mapping[str, str]) -> dict[str, Path]:
    """Return the files that a build may read and that stay out of the image: pip's settings, certificates.

    A machine behind a proxy of its own names its certificates in these variables, as pip, OpenSSL and curl know them.
    """
    candidates = {
        "certificates": [environment.get(name, "") for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")],
        "pip.conf": [environment.get("PIP_CONFIG_FILE", ""), "/etc/pip.conf"],
    }
    there = {key: [Path(p) for p in paths if p and Path(p).is_file()] for key, paths in candidates.items()}
    return {key: paths[0] for key, paths in there.items() if paths}


class _Job:
    """The builds of one command, under the lock whose file descriptor is `lock`."""

    def __init__(self, root: Path, store: ArchiveStore, lock: int, progress: Progress) -> None:
        require_room(store.home)
        self._builder: Builder = find_builder(store.home)
        self._root = root
        self._store = store
        self._lock = lock
        self._progress = progress

    def make_archives(self, recipes: Sequence[_Recipe]) -> None:
        """Build images and write their archives, one after the other; a failure leaves no mount and no half file."""
        self._clear_leftovers()
        try:
            for recipe in recipes:
                self._make_archive(recipe)
        except BaseException:
            self._clear_leftovers()
            raise

    def _clear_leftovers(self) -> None:
        self._store.clear_partial()
        for call in self._builder.leftovers(storage_limit_bytes=STORAGE_LIMIT_BYTES):
            self._run("leftovers", call, what="removal of an earlier build's leftovers")

    def _make_archive(self, recipe: _Recipe) -> None:
        name = recipe.image.name
        began = time.monotonic()
        self._ensure_image(recipe)
        with self._store.put(name, recipe.digest) as partial:
            self._run(name, self._builder.save(recipe.tag, partial), what=f"archive of the image {name!r}")
            facts = read_facts(partial)
        for old in self._store.prune(name):
            tag = f"{DEFAULT_REGISTRY}/{name}:{self._store.digest_of(old)}"
            if self._builder.has(tag):
                self._run(name, self._builder.remove(tag), what=f"removal of the image {tag}")
        took = time.monotonic() - began
        self._progress(f"image {name}: built in {took:.0f} s, {facts.size_bytes / 1e6:.0f} MB")

    def _ensure_image(self, recipe: _Recipe) -> None:
        if self._builder.has(recipe.tag):
            return
        image = recipe.image
        arguments = {"BASE": self._ensure_base(image), "DEBIAN_AS_OF": DEBIAN_AS_OF}
        self._progress(f"image {image.name}: building")
        self._log(image.name).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{image.name}-", suffix=".partial", dir=self._store.home
        ) as directory:
            checkout = Path(directory)
            stage(recipe.files, checkout)
            call = self._builder.build(
                containerfile=checkout / image.folder / "Containerfile",
                context=checkout / image.context,
                tag=recipe.tag,
                arguments=arguments,
                secrets=build_secrets(os.environ) if image.group else {},
            )
            self._run(image.name, call, what=f"build of the image {image.name!r}")

    def _ensure_base(self, image: Image) -> str:
        if image.base == "scratch":
            return "scratch"
        if image.base == "debian":
            return ensure_debian(self._builder, self._store.home, lock=self._lock, progress=self._progress)
        base = _Recipe(find(image.base), self._root)
        self._ensure_image(base)
        return base.tag

    def _log(self, name: str) -> Path:
        return self._store.home / "logs" / f"{name}.log"

    def _run(self, name: str, call: list[str], *, what: str) -> None:
        run_logged(call, log=self._log(name), what=what, held=[self._lock], timeout_seconds=BUILD_SECONDS)
