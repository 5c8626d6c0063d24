"""`hms images` as a user meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hms.cli.images import images
from hms.errors import UsageError
from hms.images import digest
from tests.images.conftest import docker_archive, layer

SHARED, ONE, TWO = (layer({name: name * 1000}) for name in ("shared", "one", "two"))


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay two archives where they would be had they been built."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    home = tmp_path / "hms" / "images"
    home.mkdir(parents=True)
    for name, own in (("redis", ONE), ("postgres", TWO)):
        tag = f"localhost/hms/{name}:{digest(name)}"
        docker_archive(home / f"{name}-{digest(name)}.tar", SHARED, own, tag=tag)
    return home


def test_sizes_and_references_as_json(built: Path) -> None:
    done = CliRunner().invoke(images, ["redis", "postgres", "--json"], catch_exceptions=False)
    rows = json.loads(done.stdout)
    assert rows[0] == {
        "name": "redis",
        "reference": f"localhost/hms/redis:{digest('redis')}",
        "user_id": 26102,
        "size_bytes": len(SHARED) + len(ONE),
        "own_bytes": len(ONE),
        "archive": str(built / f"redis-{digest('redis')}.tar"),
    }
    assert [row["name"] for row in rows] == ["redis", "postgres"]


@pytest.mark.usefixtures("built")
def test_a_table_for_people() -> None:
    done = CliRunner().invoke(images, ["redis"], catch_exceptions=False)
    head, row = done.stdout.splitlines()
    assert head.split() == ["IMAGE", "SIZE", "OWN", "USER"]
    assert row.split()[0] == f"localhost/hms/redis:{digest('redis')}"


def test_an_unknown_image_is_a_usage_error_that_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="image mysql, oracle: unknown") as caught:
        CliRunner().invoke(images, ["mysql", "redis", "oracle"], catch_exceptions=False)
    assert caught.value.exit_code == 2
    assert "postgres, redis, app, loadgen" in caught.value.remedy
