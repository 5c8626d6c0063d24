"""What is searched for: the text of a user in its one normal form, and what narrows the search."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from app.codes import code_prefix
from app.errors import InvalidQueryError

LONGEST_QUERY = 200
"""Characters of a query at most; the longest title has 228."""

MOST_WORDS = 12

_SHORTEST_SEARCHED = 3
"""Letters of one word at least: shorter beginnings begin almost every title, and match codes only."""

_SHORTEST_BEGUN = 4
"""Letters from which a word may be the beginning of one, wherever it stands; the last word, still being typed, always
may. Each beginning costs the reading of all the words that it begins, so a query of many short ones would be slow."""

_WORD = re.compile(r"[^\W_]+")
_MARKS = re.compile("[\u0300-\u036f]")


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for.

    `text` is the normal form: no case, no accents, single spaces. `prefix` is the beginning of codes that the text may
    be, `words` are what is looked for in titles and synonyms; none where no word has three characters.
    """

    text: str
    prefix: str | None
    words: tuple[str, ...]

    @classmethod
    def parse(cls, raw: str) -> "Query":
        """Read what a user typed. Raises `InvalidQueryError` that says what is wrong with it."""
        if len(raw) > LONGEST_QUERY:
            raise InvalidQueryError(f"has {len(raw)} characters, {LONGEST_QUERY} are allowed")
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in raw):
            raise InvalidQueryError("has control characters")
        text = folded(raw)
        if len(text) > LONGEST_QUERY:
            raise InvalidQueryError(f"has {len(text)} characters in its normal form, {LONGEST_QUERY} are allowed")
        words = tuple(dict.fromkeys(_WORD.findall(text)))
        if len("".join(words)) < 2:
            raise InvalidQueryError("needs two letters or digits at least")
        if len(words) > MOST_WORDS:
            raise InvalidQueryError(f"has {len(words)} words, {MOST_WORDS} are allowed")
        return cls(text, code_prefix(text), words if max(map(len, words)) >= _SHORTEST_SEARCHED else ())

    @property
    def begun(self) -> list[bool]:
        """Say of each word whether it may be the beginning of one."""
        last = len(self.words) - 1
        return [place == last or len(word) >= _SHORTEST_BEGUN for place, word in enumerate(self.words)]

    def with_words(self, words: Mapping[int, str]) -> "Query":
        """Return the query of these words, by place, among those that stay."""
        replaced = tuple(dict.fromkeys(words.get(place, word) for place, word in enumerate(self.words)))
        return Query(" ".join(replaced), None, replaced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What narrows a search; None narrows nothing. `release` None is the current one, whichever that is."""

    chapter: int | None = None
    billable: bool | None = None
    release: str | None = None


EVERYTHING = Filters()


def folded(text: str) -> str:
    """Return `text` without case, accents, or more than single spaces; the tables fold theirs in the same way."""
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text)).casefold()
    return " ".join(bare.split())
