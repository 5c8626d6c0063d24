"""An image's tag is a digest of what it is made from, of all of it, and of nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hms.errors import ImageError
from hms.images import IMAGES, USER_IDS, reference
from hms.images.content import ContentFile, content, digest, digest_of, find, stage

names = st.text(alphabet="ab/.", min_size=1, max_size=6)
content_files = st.builds(ContentFile, path=names, data=st.binary(max_size=8), executable=st.booleans())
contents = st.lists(content_files, max_size=5, unique_by=lambda file: file.path).map(tuple)


def all_digests(root: Path) -> dict[str, str]:
    return {name: digest(name, root=root) for name in IMAGES}


def changed(root: Path, change: Callable[[], object]) -> set[str]:
    """Return the images whose digest a change of the checkout changes."""
    before = all_digests(root)
    change()
    after = all_digests(root)
    return {name for name in before if before[name] != after[name]}


@given(first=contents, second=contents, base=st.sampled_from(["debian", "scratch"]))
def test_equal_digests_mean_equal_content(
    first: tuple[ContentFile, ...], second: tuple[ContentFile, ...], base: str
) -> None:
    same = sorted(first, key=lambda f: f.path) == sorted(second, key=lambda f: f.path)
    assert (digest_of(first, base) == digest_of(second, base)) is same


@given(files=contents)
def test_the_order_of_files_does_not_matter_and_the_base_does(files: tuple[ContentFile, ...]) -> None:
    assert digest_of(files, "base:1") == digest_of(files[::-1], "base:1")
    assert digest_of(files, "base:1") != digest_of(files, "base:2")


@given(data=st.binary(min_size=1, max_size=8), split=st.integers(0, 8))
def test_bytes_do_not_flow_from_one_field_into_the_next(data: bytes, split: int) -> None:
    whole = (ContentFile("a", data, executable=False), ContentFile("b", b"", executable=False))
    parted = (ContentFile("a", data[:split], executable=False), ContentFile("b", data[split:], executable=False))
    assert (digest_of(whole, "x") == digest_of(parted, "x")) is (split >= len(data))


@pytest.mark.parametrize(
    ("path", "images"),
    [
        ("drills/writer/main.py", {"loadgen"}),
        ("loadtests/locustfile.py", {"loadgen"}),
        ("hms/ledger.py", {"loadgen"}),
        ("app/server.py", {"app"}),
        ("images/redis/start", {"redis"}),
        ("images/postgres/Containerfile", {"postgres"}),
        ("images/base/Containerfile", {"postgres", "app", "loadgen"}),
        ("hms/cluster/node.py", set()),
    ],
)
def test_a_changed_file_changes_the_images_that_carry_it(checkout: Path, path: str, images: set[str]) -> None:
    assert changed(checkout, lambda: (checkout / path).write_text("changed\n")) == images


def test_a_changed_lock_changes_the_image_of_its_group(checkout: Path) -> None:
    lock = checkout / "uv.lock"
    assert changed(checkout, lambda: lock.write_text(lock.read_text().replace("sha256:aa", "sha256:bb"))) == {"app"}


def test_a_new_file_and_a_renamed_one_count(checkout: Path) -> None:
    assert changed(checkout, lambda: (checkout / "drills/new.py").write_text("")) == {"loadgen"}
    assert changed(checkout, lambda: (checkout / "drills/new.py").rename(checkout / "drills/newer.py")) == {"loadgen"}


def test_the_executable_bit_counts_and_no_other_mode(checkout: Path) -> None:
    start = checkout / "images/redis/start"
    assert changed(checkout, lambda: start.chmod(0o600)) == set()
    assert changed(checkout, lambda: start.chmod(0o755)) == {"redis"}


@pytest.mark.parametrize("litter", ["__pycache__/x.cpython-313.pyc", "x.pyc", ".swp", "x.py~", "README.md"])
def test_litter_does_not_count(checkout: Path, litter: str) -> None:
    path = checkout / "drills" / litter
    path.parent.mkdir(exist_ok=True)
    assert changed(checkout, lambda: path.write_text("litter")) == set()


def test_times_do_not_count(checkout: Path) -> None:
    assert changed(checkout, lambda: os.utime(checkout / "app/server.py", (1, 1))) == set()


def test_a_checkout_elsewhere_has_the_same_digests(checkout: Path, tmp_path: Path) -> None:
    before = all_digests(checkout)
    (tmp_path / ".elsewhere").mkdir()
    assert all_digests(checkout.rename(tmp_path / ".elsewhere" / "__pycache__")) == before


def test_a_link_is_refused(checkout: Path) -> None:
    (checkout / "app/link.py").symlink_to("server.py")
    with pytest.raises(ImageError, match=r"app/link\.py: not a regular file"):
        digest("app", root=checkout)


@pytest.mark.parametrize("missing", ["images/app/Containerfile", "uv.lock"])
def test_what_is_missing_is_named(checkout: Path, missing: str) -> None:
    (checkout / missing).unlink()
    with pytest.raises(ImageError, match=missing):
        digest("app", root=checkout)


def test_an_unknown_image_is_refused_with_those_there_are() -> None:
    with pytest.raises(ImageError, match="'mysql': unknown") as caught:
        digest("mysql")
    assert "postgres" in caught.value.remedy


def test_a_reference_is_the_registry_the_name_and_the_digest() -> None:
    assert reference("redis") == f"localhost/hms/redis:{digest('redis')}"
    assert reference("redis", registry="example.org/team/") == f"example.org/team/redis:{digest('redis')}"


def test_users_are_numeric_and_never_root() -> None:
    assert set(USER_IDS) == set(IMAGES)
    assert all(user > 999 for user in USER_IDS.values())


def test_staged_content_is_complete_and_of_one_mode_and_time(checkout: Path, tmp_path: Path) -> None:
    (checkout / "images/redis/start").chmod(0o700)
    files = content(find("app"), checkout) + content(find("redis"), checkout)
    target = tmp_path / "staged"
    target.mkdir()
    stage(files, target)
    staged = {path.relative_to(target).as_posix(): path for path in target.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in staged.items()} == {file.path: file.data for file in files}
    assert staged["images/redis/start"].stat().st_mode & 0o777 == 0o755
    assert staged["app/server.py"].stat().st_mode & 0o777 == 0o644
    assert len({path.stat().st_mtime for path in target.rglob("*")}) == 1
