"""`hms images`: build the images that are not there, show their sizes, and take them to a cluster."""

from collections import Counter
from pathlib import Path
from typing import TypedDict

import click
import msgspec

from hms.cluster import Cluster
from hms.errors import UsageError
from hms.images import DEFAULT_REGISTRY, IMAGES, build, deliver
from hms.images.store import ArchiveStore, read_facts


class _Row(TypedDict):
    name: str
    reference: str
    user_id: int
    size_bytes: int
    own_bytes: int
    archive: str


def _rows(archives: dict[str, Path], registry: str) -> list[_Row]:
    facts = {name: read_facts(archive) for name, archive in archives.items()}
    users = Counter(digest for fact in facts.values() for digest, _ in set(fact.layers))
    return [
        _Row(
            name=name,
            reference=f"{registry.rstrip('/')}/{name}:{ArchiveStore().digest_of(archives[name])}",
            user_id=IMAGES[name].user_id,
            size_bytes=fact.size_bytes,
            own_bytes=sum(size for digest, size in fact.layers if users[digest] == 1),
            archive=str(archives[name]),
        )
        for name, fact in facts.items()
    ]


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--cluster", metavar="NAME", help="Load them into the test cluster of that name.")
@click.option("--kind", metavar="NAME", help="Load them into the kind cluster of that name.")
@click.option("--push", "registry", metavar="REGISTRY", help="Push them: REGISTRY/NAME:DIGEST.")
@click.option("--json", "as_json", is_flag=True, help="Print the images as JSON.")
def images(names: tuple[str, ...], cluster: str | None, kind: str | None, registry: str | None, as_json: bool) -> None:
    """Build the images (all, or those named) that are not there yet, and show their sizes.

    An image's tag is a digest of its content in this checkout: what did not change is not built again.
    Own size is what no other of the images shown shares.
    """
    unknown = [name for name in names if name not in IMAGES]
    if unknown:
        raise UsageError(f"image {', '.join(unknown)}: unknown", remedy=f"There are {', '.join(IMAGES)}.")
    archives = build(names or tuple(IMAGES), progress=_say)
    deliver(archives, cluster=Cluster(cluster) if cluster else None, kind=kind, registry=registry, progress=_say)
    rows = _rows(archives, registry or DEFAULT_REGISTRY)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())
        return
    width = max(len(row["reference"]) for row in rows)
    click.echo(f"{'IMAGE':<{width}}  {'SIZE':>8}  {'OWN':>8}  {'USER':>6}")
    for row in rows:
        sizes = f"{row['size_bytes'] / 1e6:>5.0f} MB  {row['own_bytes'] / 1e6:>5.0f} MB"
        click.echo(f"{row['reference']:<{width}}  {sizes}  {row['user_id']:>6}")
