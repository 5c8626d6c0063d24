"""The cluster's own images: a static binary each, in an image from scratch, written without a container engine."""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hms.errors import ClusterError

REPOSITORY = "localhost/hms-cluster"


@dataclass(frozen=True, slots=True)
class BinaryImage:
    """An image of one file. `entrypoint` runs it; `user` is numeric, so that the kubelet can see it is not root."""

    name: str
    binary: Path
    path: str
    entrypoint: tuple[str, ...]
    user: str = "65532:65532"

    def reference(self) -> str:
        """Return the image's name with the digest of its content as the tag."""
        digest = hashlib.sha256(repr((self.path, self.entrypoint, self.user)).encode())
        with self.binary.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return f"{REPOSITORY}/{self.name}:{digest.hexdigest()[:16]}"


def architecture() -> str:
    """Return this machine's architecture in the words of OCI; `ClusterError` if it is not one that is supported."""
    known = {"x86_64": "amd64", "aarch64": "arm64"}
    machine = platform.machine()
    if machine not in known:
        raise ClusterError(f"architecture {machine}: the test cluster runs on {' and '.join(known)}")
    return known[machine]


def ensure_archive(image: BinaryImage, directory: Path) -> tuple[str, Path]:
    """Return the image's reference and its OCI archive in `directory`, written unless it is there."""
    reference = image.reference()
    path = directory / f"{reference.rpartition('/')[2].replace(':', '-')}.tar"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            write_archive(image, reference, partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return reference, path


def write_archive(image: BinaryImage, reference: str, path: Path) -> None:
    """Write an OCI image layout as a tar. The layer is not compressed: it would only be unpacked again at once."""
    layer = _layer(image)
    layer_digest = _digest(layer)
    config = _json({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": list(image.entrypoint), "User": image.user, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    })  # fmt: skip
    manifest = _json({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    })  # fmt: skip
    named = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    named["annotations"] = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    index = _json({"schemaVersion": 2, "manifests": [named]})
    with tarfile.open(path, "w") as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        for blob in (layer, config, manifest):
            _add(archive, f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}", blob)
        _add(archive, "index.json", index)


def archive_images(path: Path) -> dict[str, str]:
    """Return the images that an archive holds, each with its manifest's digest, empty where the format has none.

    Reads OCI layouts and Docker archives; `ClusterError` if it is neither.
    """
    try:
        with tarfile.open(path) as archive:
            names = set(archive.getnames())
            if "index.json" in names:
                return _oci_images(json.loads(_read(archive, "index.json")))
            if "manifest.json" in names:
                listed = json.loads(_read(archive, "manifest.json"))
                return {tag: "" for image in listed for tag in image["RepoTags"] or []}
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise ClusterError(f"{path}: not an image archive: {error}", remedy="Build the image again.") from error
    raise ClusterError(f"{path}: neither an OCI layout nor a Docker archive", remedy="Build the image again.")


def _oci_images(index: dict[str, list[dict[str, object]]]) -> dict[str, str]:
    found = {}
    for manifest in index["manifests"]:
        annotations = manifest.get("annotations")
        if isinstance(annotations, dict):
            name = annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name")
            if name:
                found[str(name)] = str(manifest["digest"])
    return found


def _layer(image: BinaryImage) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for directory, mode in (("bin", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            layer.addfile(entry)
        _add(layer, image.path.lstrip("/"), image.binary.read_bytes(), mode=0o755)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file.read()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


# Where a pod shares its process namespace, this is its process 1, and inherits the orphans of every container: one
# that is not waited for stays a zombie, whose identifier a program such as Patroni takes for a process that runs.
_PAUSE = "/bin/busybox sleep infinity & while :; do wait; done"


def system_images(binaries: Mapping[str, str]) -> Sequence[BinaryImage]:
    """Return the images of the cluster's own pods; `pause` holds a pod's namespaces, reaps, and is busybox."""
    return (
        BinaryImage("pause", Path(binaries["busybox"]), "/bin/busybox", ("/bin/busybox", "sh", "-c", _PAUSE)),
        BinaryImage("coredns", Path(binaries["coredns"]), "/bin/coredns", ("/bin/coredns",)),
        BinaryImage("metrics-server", Path(binaries["metrics-server"]), "/bin/metrics-server",
                    ("/bin/metrics-server",)),
    )  # fmt: skip
