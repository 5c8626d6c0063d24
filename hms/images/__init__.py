"""The stack's container images: what each is made of, how it is built, and how it reaches a cluster.

An image's tag is a digest of its content as written in the checkout, so a reference can be named before the image is
built, and is the same on every machine. `build` makes archives of those that are not there; `deliver` takes them to a
cluster.

May import: nothing but hms.
"""

from hms.images.build import build
from hms.images.catalogue import DEFAULT_REGISTRY, IMAGES, USER_IDS, Image
from hms.images.content import digest, reference
from hms.images.deliver import deliver
from hms.images.store import ArchiveStore

__all__ = [
    "DEFAULT_REGISTRY",
    "IMAGES",
    "USER_IDS",
    "ArchiveStore",
    "Image",
    "build",
    "deliver",
    "digest",
    "reference",
]
