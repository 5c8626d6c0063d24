"""How words of the terms are misspelt: as people were seen to do it, and for other words by the commonest slips.

`misspellings.tsv` is made by `python -m loadtests.misspellings DICTIONARY` from the dictionary of codespell 2.4.3
(github.com/codespell-project/codespell), a collection of misspellings met in real texts, begun with Wikipedia's list
of common ones; the dictionary and so this extract are under CC BY-SA 3.0. It holds the words of `terms.tsv` of five
letters and more, each with at most `MOST` of its misspellings that begin alike: those whose SHA-256 comes first.

A word that is not there gets one slip: two letters swapped, one left out, one doubled, or one replaced by its neighbour
on the keyboard. Four of five misspelt words have just one slip (Damerau, "A technique for computer detection and
correction of spelling errors", CACM 7, 1964).
"""

import hashlib
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random

from loadtests.terms import load_terms

FILE = Path(__file__).with_name("misspellings.tsv")
MOST = 3
SHORTEST = 5
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@cache
def load_misspellings() -> dict[str, tuple[str, ...]]:
    """Read the real misspellings by word."""
    lines = (line.split("\t") for line in FILE.read_text(encoding="utf-8").splitlines())
    return {word: tuple(others) for word, *others in lines}


def misspelt(word: str, random: Random) -> str:
    """Return the word as somebody misspells it; one of less than five letters stays as it is."""
    if len(word) < SHORTEST:
        return word
    known = load_misspellings().get(word)
    return random.choice(known) if known else slip(word, random)


def slip(word: str, random: Random) -> str:
    """Return the word with one slip of the fingers behind its first letter; at least three letters are needed."""
    at = random.randrange(1, len(word) - 1)
    match random.randrange(4):
        case 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            return word[:at] + word[at + 1 :]
        case 2:
            return word[:at] + word[at] + word[at:]
        case _:
            return word[:at] + _neighbour(word[at]) + word[at + 1 :]


def _neighbour(letter: str) -> str:
    for row in ROWS:
        if (place := row.find(letter)) >= 0:
            return row[place - 1] if place else row[1]
    return letter


def extract(dictionary: Iterable[str]) -> str:
    """Return the lines of `misspellings.tsv` from those of codespell's dictionary, `wrong->right`."""
    words = {word for term in load_terms() for word in re.findall(r"[a-z]+", term.description.lower())}
    found: dict[str, list[str]] = {}
    for line in dictionary:
        wrong, _, right = line.strip().partition("->")
        right = right.rstrip(",")
        if right in words and len(right) >= SHORTEST and re.fullmatch(r"[a-z]+", wrong) and wrong[0] == right[0]:
            found.setdefault(right, []).append(wrong)
    chosen = {
        word: sorted(others, key=lambda other: hashlib.sha256(other.encode()).digest())[:MOST]
        for word, others in found.items()
    }
    return "".join("\t".join([word, *others]) + "\n" for word, others in sorted(chosen.items()))


if __name__ == "__main__":
    FILE.write_text(extract(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()), encoding="utf-8")
