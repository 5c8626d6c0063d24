"""The `Builder`: buildah, podman or docker, whichever the machine has, behind the few calls that we need."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hms.errors import ImageError

PROGRAMS = ("buildah", "podman", "docker")
SHOWN_LINES = 15
NO_BUILDER = "Install one of them; on Debian and Ubuntu: apt-get install buildah"


def run_logged(argv: Sequence[str], *, log: Path, what: str, held: Sequence[int] = (), timeout_seconds: float) -> None:
    """Run a program to its end, its output appended to `log`; end it and all it started if we are interrupted.

    `held` are file descriptors that the program inherits: a lock stays held while it runs, even if we are killed.
    `ImageError` with the last lines where it fails or takes too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"$ {' '.join(argv)}\n".encode())
        output.flush()
        program = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, pass_fds=held,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        )  # fmt: skip
        try:
            code = program.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            _end(program)
            raise ImageError(f"{what}: not done within {timeout_seconds:g} s", remedy=f"The log is {log}.") from None
        except BaseException:
            _end(program)
            raise
    if code != 0:
        last = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
        raise ImageError(f"{what}: {argv[0]} ended with exit code {code}\n{last}", remedy=f"The log is {log}.")


def _end(program: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(program.pid, number)
        except ProcessLookupError:
            break
        try:
            program.wait(5)
        except subprocess.TimeoutExpired:
            continue
    program.wait()


@dataclass(frozen=True, kw_only=True)
class Builder:
    """One container engine. `options` come before its subcommand; `storage` is set where the storage is ours alone."""

    program: str
    options: tuple[str, ...] = ()
    storage: Path | None = None

    def command(self, *arguments: str) -> list[str]:
        """Return the full argument list of a call."""
        return [self.program, *self.options, *arguments]

    def has(self, tag: str) -> bool:
        """Whether its storage has an image of that name."""
        inspect = ("inspect", "--type", "image", tag) if self.program != "docker" else ("image", "inspect", tag)
        return subprocess.run(self.command(*inspect), capture_output=True, check=False).returncode == 0

    def pull(self, tag: str) -> list[str]:
        """Return the call that fetches an image from its registry."""
        return self.command("pull", tag)

    def build(
        self, *, containerfile: Path, context: Path, tag: str, arguments: Mapping[str, str], secrets: Mapping[str, Path]
    ) -> list[str]:
        """Return the call that builds a Containerfile."""
        extra = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        extra += [f"--secret=id={key},src={path}" for key, path in secrets.items()]
        # Chroot isolation needs no privilege beyond root's own, so it works inside containers and small machines too.
        verb = ["build"] if self.program == "docker" else ["build", "--isolation=chroot", "--layers", "--format=docker"]
        return self.command(*verb, *extra, f"--tag={tag}", f"--file={containerfile}", str(context))

    def save(self, tag: str, archive: Path) -> list[str]:
        """Return the call that writes an image as an archive in Docker's form, layers not compressed."""
        if self.program == "buildah":
            return self.command("push", "--disable-compression", tag, f"docker-archive:{archive}:{tag}")
        return self.command("save", "--output", str(archive), tag)

    def load(self, archive: Path) -> list[str]:
        """Return the call that takes an image from an archive."""
        if self.program == "buildah":
            return self.command("pull", f"docker-archive:{archive}")
        return self.command("load", "--input", str(archive))

    def tag(self, old: str, new: str) -> list[str]:
        """Return the call that gives an image another name."""
        return self.command("tag", old, new)

    def push(self, tag: str) -> list[str]:
        """Return the call that sends an image to the registry in its name."""
        return self.command("push", tag)

    def remove(self, tag: str) -> list[str]:
        """Return the call that takes a name from an image, and removes it if it has no other."""
        return self.command("image", "rm", tag) if self.program == "docker" else self.command("rmi", tag)

    def leftovers(self, *, storage_limit_bytes: int) -> list[list[str]]:
        """Return the calls that remove what earlier builds left; none where the storage is not ours alone.

        Working containers go always. The images and the cache of layers go once they take more than the limit.
        """
        if self.storage is None:
            return []
        calls = [self.command("rm", "--all")]
        if _size_bytes(self.storage) > storage_limit_bytes:
            calls.append(self.command("rmi", "--all", "--force"))
        return calls


def _size_bytes(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _works(builder: Builder) -> bool:
    return subprocess.run(builder.command("info"), capture_output=True, check=False, timeout=60).returncode == 0


def _candidate(program: str, home: Path) -> Builder:
    if program != "buildah":
        return Builder(program=program)
    storage = home / "storage"
    where = ("--root", str(storage / "root"), "--runroot", str(storage / "run"))
    overlay = Builder(program=program, options=(*where, "--storage-driver", "overlay"), storage=storage)
    if _works(overlay):
        return overlay
    return Builder(
        program=program,
        options=("--root", str(storage / "root-vfs"), *where[2:], "--storage-driver", "vfs"),
        storage=storage,
    )


def find_builder(home: Path, *, programs: Sequence[str] = PROGRAMS) -> Builder:
    """Return the first engine that the machine has and that answers; buildah's storage is kept under `home`.

    `ImageError` if there is none, naming what was found and what to install.
    """
    present = [program for program in programs if shutil.which(program)]
    for program in present:
        candidate = _candidate(program, home)
        if _works(candidate):
            return candidate
    found = f"found {', '.join(present)}, but none of them answers" if present else "none of them is on the path"
    raise ImageError(f"no program that builds images ({', '.join(programs)}): {found}", remedy=NO_BUILDER)
