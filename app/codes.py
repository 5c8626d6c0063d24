"""How an ICD-10-CM code is written: pure functions over text.

The canonical form is upper case with a dot after the third character where there is a fourth: `E11`, `E11.9`,
`S72.001A`. Users leave the dot out, write small letters, or both; every form of one code has one canonical form.
"""

import re

from app.errors import InvalidCodeError

LONGEST_CODE = 8
"""Characters of the longest canonical code: three, a dot, four."""

_CODE = re.compile(r"[A-Z][0-9A-Z]{2}(?:\.[0-9A-Z]{1,4})?", re.ASCII)
_PREFIX = re.compile(r"[A-Z][0-9A-Z]{1,2}(?:\.[0-9A-Z]{0,4})?", re.ASCII)


def canonical(text: str) -> str:
    """Return the canonical form of the code that `text` writes.

    Raises `InvalidCodeError` where no code is written like that; whether the code exists is not known here.
    """
    dotted = _dotted(text)
    if not _CODE.fullmatch(dotted):
        raise InvalidCodeError(
            f"{_shown(text)} is not an ICD-10-CM code: a letter, two letters or digits, then up to four more behind an "
            "optional dot, such as E11.9"
        )
    return dotted


def code_prefix(text: str) -> str | None:
    """Return the canonical beginning of codes that `text` writes (two characters or more), or None if it writes none.

    A dot with nothing behind it is no part of the beginning: `E11.` finds E11 too.
    """
    dotted = _dotted(text)
    return dotted.rstrip(".") if _PREFIX.fullmatch(dotted) else None


def successor(prefix: str) -> str:
    """Return the first text, in byte order, behind every text that begins with `prefix`.

    `prefix <= code < successor(prefix)` is a half-open range that Postgres can prune partitions by, which `LIKE` is
    not.
    """
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _dotted(text: str) -> str:
    stripped = text.strip(" ")
    folded = stripped.upper() if stripped.isascii() else stripped
    if len(folded) > 3 and folded[3] != ".":
        return f"{folded[:3]}.{folded[3:]}"
    return folded


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
