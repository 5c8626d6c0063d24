"""A group's requirements are its whole closure for Debian's Python, each with all its hashes."""

import re
from pathlib import Path

import pytest

from hms.errors import ImageError
from hms.images.requirements import requirements

ROOT = Path(__file__).resolve().parents[2]

LOCK = """\
version = 1

[[package]]
name = "product"
version = "0.1"
[package.dev-dependencies]
served = [{ name = "driver", extra = ["fast"] }, { name = "windows-only", marker = "sys_platform == 'win32'" }]
bare = [{ name = "driver" }]
lost = [{ name = "nowhere" }]
unhashed = [{ name = "bare-source" }]

[[package]]
name = "driver"
version = "3.3"
dependencies = [{ name = "backport", marker = "python_full_version < '3.13'" }, { name = "circle" }]
sdist = { url = "u", hash = "sha256:d0" }
wheels = [{ url = "u", hash = "sha256:d2" }, { url = "u", hash = "sha256:d1" }]
[package.optional-dependencies]
fast = [{ name = "driver-fast", marker = "implementation_name != 'pypy'" }]

[[package]]
name = "circle"
version = "1"
dependencies = [{ name = "driver" }]
wheels = [{ url = "u", hash = "sha256:c1" }]

[[package]]
name = "driver-fast"
version = "3.3"
wheels = [{ url = "u", hash = "sha256:f1" }]

[[package]]
name = "backport"
version = "9"
wheels = [{ url = "u", hash = "sha256:b1" }]

[[package]]
name = "windows-only"
version = "9"
wheels = [{ url = "u", hash = "sha256:w1" }]

[[package]]
name = "bare-source"
version = "1"
"""


def test_the_closure_with_extras_without_what_does_not_apply_through_a_circle() -> None:
    assert requirements(LOCK, "served") == (
        "circle==1 \\\n    --hash=sha256:c1\n"
        "driver==3.3 \\\n    --hash=sha256:d0 \\\n    --hash=sha256:d1 \\\n    --hash=sha256:d2\n"
        "driver-fast==3.3 \\\n    --hash=sha256:f1\n"
    )


def test_an_extra_that_is_not_asked_for_is_not_there() -> None:
    assert "driver-fast" not in requirements(LOCK, "bare")


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("nobody", "no dependency group 'nobody'"),
        ("lost", "0 entries for 'nowhere'"),
        ("unhashed", "bare-source 1 has no"),
    ],
)
def test_a_lock_that_does_not_serve_is_refused(group: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        requirements(LOCK, group)


@pytest.mark.parametrize(
    ("group", "wanted"),
    [("app", {"starlette", "uvicorn", "uvloop", "psycopg-binary", "psycopg-pool"}), ("loadgen", {"locust", "gevent"})],
)
def test_the_real_lock(group: str, wanted: set[str]) -> None:
    text = requirements((ROOT / "uv.lock").read_text(), group)
    found = re.findall(r"^([a-z0-9-]+)==\S+ \\$", text, re.MULTILINE)
    assert wanted <= set(found)
    assert len(found) == len(re.findall(r"==", text))
    assert "colorama" not in found
