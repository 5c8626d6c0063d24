import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db import cursor
from app.db.cursor import LONGEST_CURSOR, Position
from app.db.query import EVERYTHING, LONGEST_QUERY, Filters, Query
from app.errors import InvalidCursorError, InvalidQueryError

QUERY = Query.parse("heart failure")
CODES = st.from_regex(r"[A-Z][0-9A-Z]{2}(\.[0-9A-Z]{1,4})?", fullmatch=True)


def is_query(text: str) -> bool:
    """Tell whether the text can be searched for: a corrected query always can."""
    try:
        Query.parse(text)
    except InvalidQueryError:
        return False
    return True


positions = st.builds(
    Position,
    step=st.sampled_from(["codes", "ranked", "categories", "others"]),
    offset=st.integers(0, 100_000),
    after=st.just("") | CODES,
    listed=st.integers(0, 1_000_000),
    corrected=st.just("") | st.text("abcdefgh ", min_size=3, max_size=LONGEST_QUERY).filter(is_query),
    without=st.lists(CODES, max_size=3).map(tuple),
)
filters = st.builds(
    Filters,
    chapter=st.none() | st.integers(1, 22),
    billable=st.none() | st.booleans(),
    release=st.none() | st.just("icd-10-cm-2026-04"),
)


@given(positions, filters)
def test_a_cursor_is_read_as_it_was_written(position: Position, narrowed: Filters) -> None:
    text = cursor.write(position, QUERY, narrowed, release="icd-10-cm-2026-04")
    assert len(text) <= LONGEST_CURSOR
    assert text.isascii()
    assert cursor.read(text, QUERY, narrowed) == (position, "icd-10-cm-2026-04")


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        cursor.read(text, QUERY, EVERYTHING)


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_changed_byte_is_found(place: int, change: int) -> None:
    text = cursor.write(Position(step="others", after="S72"), QUERY, EVERYTHING, release="a")
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= change
    with pytest.raises(InvalidCursorError, match="not one of this service"):
        cursor.read(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="), QUERY, EVERYTHING)


@pytest.mark.parametrize(
    ("query", "narrowed"),
    [
        ("heart", EVERYTHING),
        ("heart failure", Filters(chapter=9)),
        ("heart failure", Filters(billable=False)),
        ("heart failure", Filters(release="icd-10-cm-2026-04")),
    ],
)
def test_a_cursor_of_another_search_is_refused(query: str, narrowed: Filters) -> None:
    text = cursor.write(Position(), QUERY, EVERYTHING, release="a")
    with pytest.raises(InvalidCursorError, match="another q or other filters"):
        cursor.read(text, Query.parse(query), narrowed)
