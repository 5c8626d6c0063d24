"""Where a page of hits ends and the next one begins: an opaque text for the client, a position for the search.

The text is checked, not secret: a digest finds what was garbled or belongs to another search, and every field is
held against its bounds, so who makes one up gets a page that he could have had by turning pages.
"""

import base64
import binascii
import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.db.query import LONGEST_QUERY, Filters, Query
from app.errors import InvalidCursorError, InvalidQueryError

LONGEST_CURSOR = 1000
"""Characters; the longest that is made has fewer than 700."""

_DIGEST_BYTES = 8

Code = Annotated[str, Meta(max_length=8)]


class Position(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How far a list of hits was read.

    `step` is the part of the list that goes on: `codes` behind the code `after`, by length and code; `ranked` and
    `categories` behind the first `offset`; `others` behind the code `after`, by code. `listed` counts the codes of the
    first step. `without` are the first hits by words; in the part of the list that `corrected` words found, they are
    left out.
    """

    step: Literal["codes", "ranked", "categories", "others"] = "codes"
    offset: Annotated[int, Meta(ge=0, le=100_000)] = 0
    after: Code = ""
    listed: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    corrected: Annotated[str, Meta(max_length=LONGEST_QUERY)] = ""
    without: Annotated[tuple[Code, ...], Meta(max_length=10)] = ()


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A position in the list of one search (`search` is its digest) in one release."""

    search: bytes
    release: Annotated[str, Meta(max_length=200)]
    position: Position


START = Position()

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Cursor)


def write(position: Position, query: Query, filters: Filters, *, release: str) -> str:
    """Return the cursor of `position` in the list that `query` and `filters` have in `release`."""
    body = _ENCODER.encode(_Cursor(_search(query, filters), release, position))
    return base64.urlsafe_b64encode(_digest(body) + body).rstrip(b"=").decode()


def read(text: str, query: Query, filters: Filters) -> tuple[Position, str]:
    """Return the position and the release of a cursor. Raises `InvalidCursorError` if it is not one of this search."""
    if len(text) > LONGEST_CURSOR:
        raise InvalidCursorError(f"has {len(text)} characters, {LONGEST_CURSOR} are allowed")
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        digest, body = packed[:_DIGEST_BYTES], packed[_DIGEST_BYTES:]
        cursor = _DECODER.decode(body) if digest == _digest(body) else None
        if cursor is not None and cursor.position.corrected:
            Query.parse(cursor.position.corrected)
    except (binascii.Error, ValueError, msgspec.MsgspecError, InvalidQueryError):
        cursor = None
    if cursor is None:
        raise InvalidCursorError("is not one of this service: give the `next` of a page, or leave it out for the first")
    if cursor.search != _search(query, filters):
        raise InvalidCursorError("belongs to a search with another q or other filters: begin without a cursor")
    return cursor.position, cursor.release


def _search(query: Query, filters: Filters) -> bytes:
    return _digest(_ENCODER.encode((query.text, filters.chapter, filters.billable, filters.release)))


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, person=b"hms-cursor").digest()
