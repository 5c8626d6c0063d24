"""The terms that the queries are made of: a sample of the release's codes with their descriptions.

`terms.tsv` is made by `python -m loadtests.terms` from the release that the package `simple-icd-10-cm` carries: the
`SAMPLE_SIZE` leaf codes whose SHA-256 comes first, in that order. The order has nothing to do with the code or the
term, so it serves as the order of popularity, and the sample is the same wherever it is made.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

SAMPLE_SIZE = 4096
FILE = Path(__file__).with_name("terms.tsv")


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A code of the release and its description."""

    code: str
    description: str


def sample(terms: Iterable[Term], *, size: int) -> list[Term]:
    """Return the `size` terms whose code's SHA-256 comes first, in that order."""
    return sorted(terms, key=lambda term: hashlib.sha256(term.code.encode()).digest())[:size]


def encode(terms: Iterable[Term]) -> str:
    """Return the terms as lines of code, tab, description."""
    return "".join(f"{term.code}\t{term.description}\n" for term in terms)


@cache
def load_terms() -> tuple[Term, ...]:
    """Read the sample that the repository carries, most popular first."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return tuple(Term(code=code, description=text) for code, _, text in (line.partition("\t") for line in lines))


def release_terms() -> list[Term]:
    """Return every leaf code of the release; needs the package `simple-icd-10-cm`, which takes seconds to load."""
    import simple_icd_10_cm as release  # type: ignore[import-untyped]  # noqa: PLC0415  # untyped; costs seconds

    codes = release.get_all_codes(with_dots=True)
    return [Term(code=code, description=release.get_description(code)) for code in codes if release.is_leaf(code)]


if __name__ == "__main__":
    FILE.write_text(encode(sample(release_terms(), size=SAMPLE_SIZE)), encoding="utf-8")
