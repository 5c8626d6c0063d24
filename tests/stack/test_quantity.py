from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis.strategies import integers, text

from hms.quantity import format_bytes, format_millicores, parse_bytes, parse_millicores


@pytest.mark.parametrize(
    ("written", "millicores"), [("250m", 250), ("1", 1000), ("0.5", 500), ("1.25", 1250), ("2.005", 2005)]
)
def test_cpu_is_read_in_thousandths(written: str, millicores: int) -> None:
    assert parse_millicores(written) == millicores


@pytest.mark.parametrize(("written", "size"), [("1Ki", 1024), ("256Mi", 268_435_456), ("1G", 10**9), ("17", 17)])
def test_bytes_are_read_in_binary_and_decimal_units(written: str, size: int) -> None:
    assert parse_bytes(written) == size


@pytest.mark.parametrize("written", ["", "m", "-1", "1.", "0.0001", "1 m", "250M", "1e3"])
def test_what_is_no_cpu_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a CPU quantity"):
        parse_millicores(written)


@pytest.mark.parametrize("written", ["", "Mi", "-1Gi", "1.5Gi", "1GiB", "1mi"])
def test_what_are_no_bytes_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity of bytes"):
        parse_bytes(written)


@given(integers(min_value=0, max_value=10**9))
def test_cpu_written_is_read_the_same(millicores: int) -> None:
    assert parse_millicores(format_millicores(millicores)) == millicores


@given(integers(min_value=0, max_value=2**60))
def test_bytes_written_are_read_the_same(size: int) -> None:
    assert parse_bytes(format_bytes(size)) == size


def parsed(parse: Callable[[str], int], written: str) -> int | ValueError:
    try:
        return parse(written)
    except ValueError as error:
        return error


@given(text(max_size=12))
def test_any_text_is_a_quantity_or_a_value_error_that_quotes_it(written: str) -> None:
    for parse in (parse_bytes, parse_millicores):
        found = parsed(parse, written)
        assert repr(written) in str(found) if isinstance(found, ValueError) else found >= 0
