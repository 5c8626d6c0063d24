"""The catalogue: each `Image` with what it is made from."""

from dataclasses import dataclass

DEFAULT_REGISTRY = "localhost/hms"

DEBIAN = "docker.io/library/debian:trixie-slim"
"""What every image stands on in the end; made from Debian's packages where it cannot be pulled."""

DEBIAN_AS_OF = "2026-11-23"
"""Part of every digest: a later day here is how images take Debian's security updates."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image and all that its content is made from.

    `sources` are globs from the checkout's root, beside the image's own folder `images/<name>`. `group` is the
    dependency group of `pyproject.toml` that it carries, as locked. `base` is another image's name, `debian`, or
    `scratch` for one that stands on nothing. `user_id` is the numeric user that its processes have.
    """

    name: str
    user_id: int
    base: str = "debian"
    group: str | None = None
    sources: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The image's folder, from the checkout's root."""
        return f"images/{self.name}"

    @property
    def context(self) -> str:
        """What the Containerfile's COPY sees, from the checkout's root: the folder, or all where there are sources."""
        return "." if self.sources else self.folder


_ALL = (
    Image(name="base", user_id=65534),
    Image(name="postgres", user_id=26101, base="base", sources=("witness/*.py",)),
    Image(name="redis", user_id=26102),
    Image(name="app", user_id=26103, base="base", group="app", sources=("app/**/*",)),
    # The nouns alone of `hms`: a changed command of the driver does not roll the pods that it starts.
    Image(
        name="loadgen",
        user_id=26104,
        base="base",
        group="loadgen",
        sources=("hms/*.py", "loadtests/**/*", "drills/**/*"),
    ),
)

BASES = {image.name: image for image in _ALL if image.name == "base"}
"""Images that others stand on and that no pod runs."""

IMAGES = {image.name: image for image in _ALL if image.name not in BASES}
"""The images that pods run, by name."""

USER_IDS = {name: image.user_id for name, image in IMAGES.items()}
"""The user (and group) of each image's processes: what a pod's `runAsUser` says. Debian gives out none above 999."""
