import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.query import LONGEST_QUERY, MOST_WORDS, Query
from app.errors import InvalidQueryError


@given(st.text(max_size=2 * LONGEST_QUERY))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        query = Query.parse(text)
    except InvalidQueryError:
        return
    assert len(query.words) <= MOST_WORDS
    assert all(word.isalnum() for word in query.words)
    assert query.prefix is None or query.prefix.isascii()


@pytest.mark.parametrize(
    ("text", "prefix", "words"),
    [
        ("  Diabetic   RETINOPATHY ", None, ("diabetic", "retinopathy")),
        ("e119", "E11.9", ("e119",)),
        ("E1", "E1", ()),
        ("heart, heart & soul!", None, ("heart", "soul")),
        ("Paget's disease", None, ("paget", "s", "disease")),
        ("a:* | 'b", None, ()),
        ("ＤＩＡＢＥＴＥＳ", None, ("diabetes",)),
    ],
)
def test_what_is_looked_for(text: str, prefix: str | None, words: tuple[str, ...]) -> None:
    query = Query.parse(text)
    assert (query.prefix, query.words) == (prefix, words)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "two letters"),
        ("   ", "two letters"),
        ("a", "two letters"),
        ("%%%***", "two letters"),
        ("*" * 10_000, "10000 characters"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        (" ".join(f"word{n}" for n in range(13)), "13 words"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidQueryError, match=reason):
        Query.parse(text)
