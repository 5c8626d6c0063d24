"""Build the images that are not there, once however many commands ask."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
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

    def __init__(self, name: str, root: Path) -> None:
        self.image: Image = find(name)
        self.files: tuple[ContentFile, ...] = content(self.image, root)
        self.digest = digest_of(self.files, base_of(self.image, root))
        self.tag = f"{DEFAULT_REGISTRY}/{name}:{self.digest}"


def build(
    names: Collection[str] = tuple(IMAGES), *, progress: Progress = quiet, store: ArchiveStore | None = None
) -> dict[str, Path]:
    """Return the archive of each image by name, built where it is not there.

    `ImageError` if a name is unknown, no program builds images, the base cannot be had, there is no room, or a build
    fails; an interrupted build leaves nothing that the next one trips over.
    """
    store, root = store or ArchiveStore(), project_root()
    recipes = {name: _Recipe(name, root) for name in names}
    archives = {name: store.get(name, recipe.digest) for name, recipe in recipes.items()}
    missing = [name for name, archive in archives.items() if archive is None]
    if missing:
        _build_missing([recipes[name] for name in missing], root, store, progress)
    else:
        progress(f"images: all {len(archives)} are there")
    return {name: store.path(name, recipe.digest) for name, recipe in recipes.items()}


def _build_missing(recipes: list[_Recipe], root: Path, store: ArchiveStore, progress: Progress) -> None:
    with store.lock(progress) as lock:
        recipes = [recipe for recipe in recipes if store.get(recipe.image.name, recipe.digest) is None]
        if not recipes:
            return
        _require_room(store.home)
        builder = find_builder(store.home)
        job = _Job(builder, root, store, lock, progress)
        job.clear_leftovers()
        for recipe in recipes:
            job.make_archive(recipe)


def _require_room(home: Path) -> None:
    free = shutil.disk_usage(home).free
    if free < NEED_BYTES:
        raise ImageError(
            f"{home}: {free / 1024**3:.1f} GiB free, building images needs {NEED_BYTES / 1024**3:.0f} GiB",
            remedy="Make room, or set XDG_CACHE_HOME to a directory on a larger disk.",
        )


def build_secrets(environment: Mapping[str, str]) -> dict[str, Path]:
    """Return the files that a build may read and that stay out of the image: pip's settings, certificates.

    A machine behind a proxy of its own names its certificates in these variables, as pip, OpenSSL and curl know them.
    """
    secrets: dict[str, Path] = {}
    for variable in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        path = Path(environment.get(variable, ""))
        if path.is_file():
            secrets["certificates"] = path
            break
    for settings in (environment.get("PIP_CONFIG_FILE", ""), "/etc/pip.conf"):
        if Path(settings).is_file():
            secrets["pip.conf"] = Path(settings)
            break
    return secrets


class _Job:
    """The builds of one command, under the lock."""

    def __init__(self, builder: Builder, root: Path, store: ArchiveStore, lock: int, progress: Progress) -> None:
        self._builder = builder
        self._root = root
        self._store = store
        self._lock = lock
        self._progress = progress

    def clear_leftovers(self) -> None:
        """Remove what a killed build left, and the whole storage where it has grown beyond its limit."""
        for partial in self._store.home.glob("*/.partial"):
            partial.unlink()
        for call in self._builder.leftovers():
            self._run("leftovers", call, what="removal of an interrupted build's leftovers")

    def make_archive(self, recipe: _Recipe) -> None:
        name = recipe.image.name
        began = time.monotonic()
        self._ensure_image(recipe)
        with self._store.put(name, recipe.digest) as partial:
            self._run(name, self._builder.save(recipe.tag, partial), what=f"archive of the image {name!r}")
            facts = read_facts(partial)
        self._store.prune(name)
        took = time.monotonic() - began
        self._progress(f"image {name}: built in {took:.0f} s, {facts.size_bytes / 1e6:.0f} MB")

    def _ensure_image(self, recipe: _Recipe) -> None:
        if self._builder.has(recipe.tag):
            return
        image = recipe.image
        base = self._ensure_base(image)
        self._progress(f"image {image.name}: building")
        (self._store.home / "logs" / f"{image.name}.log").unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{image.name}-", dir=self._store.home) as directory:
            context = Path(directory)
            stage(recipe.files, context)
            call = self._builder.build(
                containerfile=context / image.folder / "Containerfile",
                context=context / image.context,
                tag=recipe.tag,
                arguments={"BASE": base, "DEBIAN_AS_OF": DEBIAN_AS_OF},
                secrets=build_secrets(os.environ) if image.group else {},
            )
            self._run(image.name, call, what=f"build of the image {image.name!r}")

    def _ensure_base(self, image: Image) -> str:
        if image.base is None:
            return ensure_debian(self._builder, self._store.home, lock=self._lock, progress=self._progress)
        base = _Recipe(image.base, self._root)
        self._ensure_image(base)
        return base.tag

    def _run(self, name: str, call: list[str], *, what: str) -> None:
        log = self._store.home / "logs" / f"{name}.log"
        run_logged(call, log=log, what=what, held=[self._lock], timeout_seconds=BUILD_SECONDS)
