"""The content of an image as written in the checkout, and the digest that is its tag.

Invariant: the digest depends on the paths, the bytes and the executable bits of the content alone. Not on times, on
owners, on the order of a directory, on compiled files, on where the checkout lies, or on where the base came from.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hms.errors import ImageError
from hms.images.catalogue import BASES, DEBIAN, DEBIAN_AS_OF, DEFAULT_REGISTRY, IMAGES, Image
from hms.images.requirements import requirements
from hms.paths import project_root

DIGEST_DIGITS = 16
FORM = b"hms image content 1"

_SKIPPED_SUFFIXES = {".pyc", ".pyo", ".md"}
_STAGED_TIME_SECONDS = 1_577_836_800  # 2020-01-01: the builders' layer caches look at times


@dataclass(frozen=True)
class ContentFile:
    """One file of an image's content; `path` is from the checkout's root, with forward slashes."""

    path: str
    data: bytes
    executable: bool


def find(name: str) -> Image:
    """Return the image of that name; `ImageError` if there is none."""
    try:
        return (IMAGES | BASES)[name]
    except KeyError:
        raise ImageError(f"image {name!r}: unknown", remedy=f"There are {', '.join(IMAGES)}.") from None


def _wanted(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    compiled = "__pycache__" in path.parts
    return not (hidden or compiled or path.suffix in _SKIPPED_SUFFIXES or path.name.endswith("~"))


def _paths(image: Image, root: Path) -> Iterator[Path]:
    for pattern in (f"{image.folder}/**/*", *image.sources):
        for found in root.glob(pattern):
            path = found.relative_to(root)
            if not _wanted(path) or found.is_dir():
                continue
            if not found.is_file() or found.is_symlink():
                raise ImageError(f"{path}: not a regular file, so it cannot be part of the image {image.name!r}")
            yield path


def content(image: Image, root: Path) -> tuple[ContentFile, ...]:
    """Return the files that the image is made from, in order of path, its requirements among them.

    `ImageError` if a Containerfile or uv.lock is missing, or a path is neither a file nor a directory.
    """
    files: dict[str, ContentFile] = {}
    for path in _paths(image, root):
        full = root / path
        files[path.as_posix()] = ContentFile(
            path.as_posix(), full.read_bytes(), executable=bool(full.stat().st_mode & 0o100)
        )
    containerfile = f"{image.folder}/Containerfile"
    if containerfile not in files:
        raise ImageError(f"{root / containerfile}: missing")
    if image.group is not None:
        path_of_requirements = f"{image.folder}/requirements.txt"
        text = requirements(_lock_text(root), image.group)
        files[path_of_requirements] = ContentFile(path_of_requirements, text.encode(), executable=False)
    return tuple(files[path] for path in sorted(files))


def _lock_text(root: Path) -> str:
    try:
        return (root / "uv.lock").read_text()
    except FileNotFoundError:
        raise ImageError(f"{root / 'uv.lock'}: missing", remedy="Run `uv lock`.") from None


def digest_of(files: tuple[ContentFile, ...], base: str) -> str:
    """Return the digest of content over a base, which is named as it is written or by its own digest."""
    total = hashlib.sha256()
    for field in (FORM, base.encode()):
        total.update(b"%d:" % len(field) + field)
    for file in sorted(files, key=lambda f: f.path):
        for field in (file.path.encode(), b"x" if file.executable else b"-", file.data):
            total.update(b"%d:" % len(field) + field)
    return total.hexdigest()[:DIGEST_DIGITS]


def base_of(image: Image, root: Path) -> str:
    """Return what the image stands on, as it enters the digest."""
    if image.base == "scratch":
        return "scratch"
    if image.base == "debian":
        return f"{DEBIAN} as of {DEBIAN_AS_OF}"
    return f"{image.base}:{digest(image.base, root=root)}"


def digest(name: str, *, root: Path | None = None) -> str:
    """Return the digest that is the tag of the image of that name."""
    image, root = find(name), root or project_root()
    return digest_of(content(image, root), base_of(image, root))


def reference(name: str, *, registry: str = DEFAULT_REGISTRY) -> str:
    """Return `<registry>/<name>:<digest>`, computed from the checkout alone; the image need not be built."""
    return f"{registry.rstrip('/')}/{name}:{digest(name)}"


def references(*, registry: str = DEFAULT_REGISTRY) -> Mapping[str, str]:
    """Return the reference of every image that pods run, by name."""
    return {name: reference(name, registry=registry) for name in IMAGES}


def stage(files: tuple[ContentFile, ...], directory: Path) -> None:
    """Write content into an empty directory, laid out as in the checkout, with normal modes and one fixed time."""
    for file in files:
        target = directory / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        target.chmod(0o755 if file.executable else 0o644)
        os.utime(target, (_STAGED_TIME_SECONDS, _STAGED_TIME_SECONDS))
    for folder in sorted((p for p in directory.rglob("*") if p.is_dir()), reverse=True):
        folder.chmod(0o755)
        os.utime(folder, (_STAGED_TIME_SECONDS, _STAGED_TIME_SECONDS))
