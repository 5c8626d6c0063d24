"""The shapes of the answers. Fields are documented here because clients see them."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.limits import Tier

_NOTES = {
    "type": "object",
    "properties": {
        **{kind: {"type": "array", "items": {"type": "string"}} for kind in (
            "includes", "excludes1", "excludes2", "code_first", "code_also", "use_additional_code", "notes",
        )},
        "seventh_character_note": {"type": "string"},
        "seventh_characters": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}  # fmt: skip
"""As they are stored; they are passed on without being read."""


class Group(msgspec.Struct, frozen=True):
    """A chapter (`name` is its number) or a block (`name` is its range of codes)."""

    name: str
    title: str


def _list_of(**properties: object) -> dict[str, object]:
    return {
        "type": "array",
        "items": {"type": "object", "properties": properties, "required": list(properties)},
    }


_TEXT = {"type": "string"}
_KIND = Meta(extra_json_schema={"enum": ["category", "subcategory", "extension"]})
_ANCESTORS = Meta(extra_json_schema=_list_of(code=_TEXT, title=_TEXT, notes=_NOTES))
_CHILDREN = Meta(extra_json_schema=_list_of(code=_TEXT, title=_TEXT, billable={"type": "boolean"}))


class CodeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a code.

    `kind` is category, subcategory or extension (made by a seventh character); only a code without children is
    `billable`. `notes` has a list for each kind of note that the code itself carries: includes, excludes1, excludes2,
    code_first, code_also, use_additional_code, notes; and seventh_character_note, seventh_characters. Kinds without
    notes are absent. What the notes of an ancestor say holds for the code, too: `ancestors` has them, from the
    category down to the parent.
    """

    code: str
    title: str
    release: str
    kind: Annotated[str, _KIND]
    billable: bool
    chapter: Group
    block: Group
    parent: str | None
    ancestors: Annotated[msgspec.Raw, _ANCESTORS]
    children: Annotated[msgspec.Raw, _CHILDREN]
    synonyms: list[str]
    notes: Annotated[msgspec.Raw, Meta(extra_json_schema=_NOTES)]


MOST_CODES = 1000


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The codes to look up, written in any way; `release` is the current one if it is not there."""

    codes: Annotated[list[Annotated[str, Meta(max_length=40)]], Meta(min_length=1, max_length=MOST_CODES)]
    release: str | None = None


class FoundCode(msgspec.Struct, frozen=True, kw_only=True):
    """One code of a batch, as it was `asked` for and as it is."""

    asked: str
    code: str
    title: str
    kind: Annotated[str, _KIND]
    billable: bool
    chapter: int
    block: str
    parent: str | None


class MissingCode(msgspec.Struct, frozen=True, kw_only=True):
    """One text of a batch that is no code of the release: `unknown`, or `invalid` if no code is written like that."""

    asked: str
    reason: Annotated[str, Meta(extra_json_schema={"enum": ["unknown", "invalid"]})]


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was found and what was not, each in the order in which it was asked for."""

    release: str
    found: list[FoundCode]
    not_found: list[MissingCode]


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """One code that was found; `match` is code (exactly), prefix (of the code), words, or corrected words."""

    code: str
    title: str
    billable: bool
    chapter: int
    match: Annotated[str, Meta(extra_json_schema={"enum": ["code", "prefix", "words", "corrected"]})]


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of hits, the best first; `query` is what was looked for, in its normal form.

    `did_you_mean` is the query with which the hits that match by corrected words were found, null if there are none.
    `next` is the `cursor` of the following page, null at the end.
    """

    query: str
    release: str
    hits: list[SearchHit]
    did_you_mean: str | None
    next: str | None


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One code that the text may become."""

    code: str
    title: str


class Suggestions(msgspec.Struct, frozen=True, kw_only=True):
    """What the text may become, the likeliest first; no two have the same title."""

    query: str
    release: str
    suggestions: list[Suggestion]


class BookmarkBody(msgspec.Struct, frozen=True, kw_only=True):
    """One bookmark."""

    user: str
    code: str


class ListedBookmark(msgspec.Struct, frozen=True, kw_only=True):
    """One bookmark of a list; `title` is null if the current release does not have the code any more."""

    code: str
    title: str | None
    created_at: Annotated[datetime, Meta(tz=True)]


class BookmarkPage(msgspec.Struct, frozen=True, kw_only=True):
    """The bookmarks of a user, by code; `next` is the `after` of the following page, null at the end."""

    user: str
    bookmarks: list[ListedBookmark]
    next: str | None


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether this instance lives, or can answer; `reason` says why it cannot."""

    status: str
    reason: str = ""
    release: str = ""


KeyTier = Literal["authenticated", "premium", "enterprise", "internal"]
Time = Annotated[datetime, Meta(tz=True)]


class KeyWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API key to make; without `expires_in_days` it does not expire."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]*$")]
    tier: KeyTier
    expires_in_days: Annotated[int, Meta(ge=1, le=3650)] | None = None


class KeyListed(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without the key itself: `id` names it."""

    id: str
    name: str
    tier: Tier
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class KeyMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new API key: `key` is to be sent as `X-API-Key`, and can be read here only."""

    key: str
    id: str
    name: str
    tier: Tier
    created_at: Time
    expires_at: Time | None


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """API keys, by id; `next` is the `after` of the following page, null at the end."""

    keys: list[KeyListed]
    next: str | None


class PoolUse(msgspec.Struct, frozen=True, kw_only=True):
    """Connections to one server: at work, waiting for work, and at most; `waiting` are requests that wait for one."""

    server: str
    in_use: int
    waiting: int
    idle: int
    limit: int


class SlotUse(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that have a slot, requests that wait for one, and slots; `utilisation` is the share in use."""

    active: int
    waiting: int
    limit: int
    utilisation: float


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What this instance uses.

    `oldest_request_seconds` is the age of the request that has been answered for longest. `event_loop_lag_ms` is by how
    much a timer was late, at most, in the last minute. `memory_limit_bytes` is the container's, null if it has none.
    `kept` counts what is held of clients, by kind.
    """

    requests: SlotUse
    enterprise: SlotUse
    oldest_request_seconds: float
    connections: int
    connections_limit: int
    pools: list[PoolUse]
    memory_bytes: int
    memory_limit_bytes: int | None
    event_loop_lag_ms: float
    kept: dict[str, int]


class TakenBack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of kept answers that were to be taken back.

    `confirmed`: no instance finds them any more; else that is so as soon as Redis is back. `removed` is their number,
    where they were looked for by pattern.
    """

    confirmed: bool
    removed: int | None = None
