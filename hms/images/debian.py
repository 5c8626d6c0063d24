"""Debian, the image that all others stand on: pulled, or made from Debian's packages where no registry is reached."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hms.errors import ImageError
from hms.images.builder import Builder, run_logged
from hms.images.catalogue import DEBIAN, DEBIAN_AS_OF

PULL_SECONDS = 90.0
MAKE_SECONDS = 900.0
LOCAL_TAG = f"localhost/hms/debian:{DEBIAN_AS_OF}"

_RECIPE = """FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["bash"]
"""

# What Debian's own slim images leave out.
_SLIM = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/lintian/*",
)


def ensure_debian(builder: Builder, home: Path, *, lock: int, progress: Callable[[str], None]) -> str:
    """Return the name of Debian's image in the builder's storage, pulled or made if it is not there.

    `ImageError` if it can be neither pulled nor made.
    """
    if builder.has(LOCAL_TAG):
        return LOCAL_TAG
    log = home / "logs" / "debian.log"
    log.unlink(missing_ok=True)
    try:
        progress(f"pulling {DEBIAN}")
        run_logged(builder.pull(DEBIAN), log=log, what=f"pull of {DEBIAN}", held=[lock], timeout_seconds=PULL_SECONDS)
        run_logged(builder.tag(DEBIAN, LOCAL_TAG), log=log, what=f"tag of {DEBIAN}", held=[lock], timeout_seconds=60)
    except ImageError:
        progress("no registry has it within reach; making it from Debian's packages")
        rootfs = _ensure_rootfs(home, log=log, lock=lock, progress=progress)
        _import(builder, rootfs, log=log, lock=lock)
    return LOCAL_TAG


def _ensure_rootfs(home: Path, *, log: Path, lock: int, progress: Callable[[str], None]) -> Path:
    rootfs = home / f"debian-{DEBIAN_AS_OF}.rootfs.tar"
    if rootfs.is_file():
        return rootfs
    if shutil.which("mmdebstrap") is None:
        raise ImageError(
            f"{DEBIAN}: cannot be pulled (see {log}), and mmdebstrap, which could make it, is not on the path",
            remedy="Install it; on Debian and Ubuntu: apt-get install mmdebstrap debian-archive-keyring",
        )
    progress("mmdebstrap of Debian trixie (about a minute)")
    partial = home / f".{rootfs.name}.partial"
    options = [f"--dpkgopt={option}" for option in _SLIM]
    argv = ["mmdebstrap", "--variant=minbase", "--format=tar", *options, "trixie", str(partial)]
    try:
        run_logged(argv, log=log, what="mmdebstrap of Debian trixie", held=[lock], timeout_seconds=MAKE_SECONDS)
        os.replace(partial, rootfs)
    finally:
        partial.unlink(missing_ok=True)
    for old in home.glob("debian-*.rootfs.tar"):
        if old != rootfs:
            old.unlink()
    return rootfs


def _import(builder: Builder, rootfs: Path, *, log: Path, lock: int) -> None:
    with tempfile.TemporaryDirectory(prefix=".debian-", suffix=".partial", dir=rootfs.parent) as name:
        context = Path(name)
        os.link(rootfs, context / "rootfs.tar")
        (context / "Containerfile").write_text(_RECIPE)
        argv = builder.build(
            containerfile=context / "Containerfile", context=context, tag=LOCAL_TAG, arguments={}, secrets={}
        )
        run_logged(argv, log=log, what="image of Debian trixie", held=[lock], timeout_seconds=MAKE_SECONDS)
