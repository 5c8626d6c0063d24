import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.codes import LONGEST_CODE, canonical, code_prefix, successor
from app.errors import InvalidCodeError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
codes = st.builds(
    lambda first, two, rest: first + two + (f".{rest}" if rest else ""),
    st.sampled_from(ALPHABET[:26]),
    st.text(ALPHABET, min_size=2, max_size=2),
    st.text(ALPHABET, max_size=4),
)


@given(codes, st.booleans(), st.booleans())
def test_every_way_to_write_a_code_has_its_one_canonical_form(code: str, dotted: bool, small: bool) -> None:
    written = code if dotted else code.replace(".", "")
    assert canonical(f" {written.lower() if small else written} ") == code


@given(codes)
def test_the_canonical_form_is_its_own_and_has_no_more_than_the_longest_length(code: str) -> None:
    assert canonical(canonical(code)) == code
    assert len(code) <= LONGEST_CODE


@given(st.text(max_size=12))
def test_any_text_is_a_canonical_code_or_refused(text: str) -> None:
    try:
        code = canonical(text)
    except InvalidCodeError:
        return
    assert code == canonical(code)
    assert code.isascii()
    assert code == code.upper()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "E",
        "E1",
        "111",
        "E11..9",
        "E1.19",
        "E11.",
        "E11.12345",
        "E11 9",
        "É11",
        "E11\n",
        "ß11",
        "ſ11",
        "E११",
        "A" * 500,
    ],
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(InvalidCodeError, match="is not an ICD-10-CM code"):
        canonical(text)


def test_a_refusal_shows_no_more_than_the_beginning_of_a_long_text() -> None:
    with pytest.raises(InvalidCodeError) as refusal:
        canonical("x" * 10_000)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("e1", "E1"),
        ("E11", "E11"),
        ("E11.", "E11"),
        ("e119", "E11.9"),
        ("S72.001", "S72.001"),
        ("diabetes", None),
        ("11", None),
    ],
)
def test_the_beginning_of_a_code(text: str, prefix: str | None) -> None:
    assert code_prefix(text) == prefix


@given(codes, st.integers(min_value=1, max_value=8), codes)
def test_the_range_of_a_prefix_holds_what_begins_with_it_and_nothing_else(code: str, length: int, other: str) -> None:
    prefix = code[:length]
    for candidate in (code, other):
        assert (prefix <= candidate < successor(prefix)) == candidate.startswith(prefix)
