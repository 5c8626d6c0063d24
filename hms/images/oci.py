"""Image archives as one OCI layout: every layer once, and none that the receiver has.

A node that takes four images of ours one by one reads the layers that they share four times; and one that has all but
the last layer of an image needs only that. containerd finds the layers that an archive leaves out in its own store.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hms.errors import ImageError

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def write_oci(archives: Sequence[Path], target: Path, *, present: Collection[str] = ()) -> None:
    """Write the images of Docker archives as one OCI archive, without the layers whose digests are in `present`.

    Digests are `sha256:` and 64 digits. `ImageError` if an archive is damaged, or its layers are compressed: their
    digests are then not those of the configuration.
    """
    with tarfile.open(target, "w") as out:
        writer = _Writer(out, present)
        writer.add("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        manifests = [entry for archive in archives for entry in _transfer(archive, writer)]
        writer.add("index.json", _json({"schemaVersion": 2, "manifests": manifests}))


class _Writer:
    """The archive being written, and the blobs that it need not hold (again)."""

    def __init__(self, out: tarfile.TarFile, present: Collection[str]) -> None:
        self._out = out
        self._known = set(present)

    def add(self, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self._out.addfile(entry, io.BytesIO(data))

    def add_json_blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Add a manifest or a configuration (always: they are small) and return its descriptor."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.add(_blob(digest), data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def add_layer(self, source: tarfile.TarFile, member: tarfile.TarInfo, digest: str) -> dict[str, Any]:
        """Add a layer unless it is known and return its descriptor."""
        if digest not in self._known:
            self._known.add(digest)
            entry = tarfile.TarInfo(_blob(digest))
            entry.size = member.size
            self._out.addfile(entry, source.extractfile(member))
        return {"mediaType": LAYER_TYPE, "digest": digest, "size": member.size}


def _transfer(archive: Path, writer: _Writer) -> list[dict[str, Any]]:
    try:
        with tarfile.open(archive) as source:
            images = json.loads(_read(source, "manifest.json"))
            return [_transfer_image(source, image, writer) for image in images]
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise ImageError(
            f"{archive}: cannot be read: {error}", remedy="Remove it; `hms images` makes it again."
        ) from error


def _transfer_image(source: tarfile.TarFile, image: dict[str, Any], writer: _Writer) -> dict[str, Any]:
    config = _read(source, image["Config"])
    layers = []
    for name, digest in zip(image["Layers"], json.loads(config)["rootfs"]["diff_ids"], strict=True):
        member = source.getmember(name)
        stream = source.extractfile(member)
        if stream is None or stream.read(4).startswith(_COMPRESSED):
            raise ValueError(f"layer {name} is compressed or no file")
        layers.append(writer.add_layer(source, member, digest))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": writer.add_json_blob(config, CONFIG_TYPE),
        "layers": layers,
    }
    reference = str(image["RepoTags"][0])
    annotations = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    return {**writer.add_json_blob(_json(manifest), MANIFEST_TYPE), "annotations": annotations}


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _read(source: tarfile.TarFile, name: str) -> bytes:
    stream = source.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} is not a file")
    return stream.read()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
