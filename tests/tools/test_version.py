import pytest

from hms.errors import UsageError
from hms.tools.version import Range, parse_version


def test_a_version_is_its_numbers() -> None:
    assert parse_version("v1.34.4") == (1, 34, 4)
    assert parse_version("6.1") == (6, 1)


@pytest.mark.parametrize("text", ["", "v", "1.2.x", "1..2", "1.2-rc1", "-1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not numbers between dots"):
        parse_version(text)


@pytest.mark.parametrize(
    ("accepts", "version", "expected"),
    [
        (">=1.33,<1.36", "1.33.0", True),
        (">=1.33,<1.36", "1.35.99", True),
        (">=1.33,<1.36", "1.36.0", False),
        (">=1.33,<1.36", "1.32.9", False),
        (">=1.9", "1.10", True),  # numbers, not letters
        ("==4.25.0", "4.25.0", True),
        ("==4.25.0", "4.25.1", False),
        ("==4.25", "4.25.0", True),
        (">=6.1", "6.1.0", True),
    ],
)
def test_a_range_holds_every_condition(accepts: str, version: str, expected: bool) -> None:
    assert Range.parse(accepts).accepts(version) is expected


@pytest.mark.parametrize("text", ["", "1.2", ">1.2", ">=1.2,", ">=1.2;<2", "~=1.2"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="version range"):
        Range.parse(text)
