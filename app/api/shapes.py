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


class CodeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a code.

    `kind` is category, subcategory or extension (made by a seventh character); only a code without children is
    `billable`. `notes` has a list for each kind of note that the code itself carries: includes, excludes1, excludes2,
    code_first, code_also, use_additional_code, notes; and seventh_character_note, seventh_characters. Kinds without
    notes are absent.
    """

    code: str
    title: str
    release: str
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["category", "subcategory", "extension"]})]
    billable: bool
    chapter: Group
    block: Group
    parent: str | None
    children: list[str]
    synonyms: list[str]
    notes: Annotated[msgspec.Raw, Meta(extra_json_schema=_NOTES)]


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """One code that was found; `match` is code (exactly), prefix (of the code) or words."""

    code: str
    title: str
    billable: bool
    chapter: int
    match: str


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """The best hits, the best first; `query` is what was looked for, in its normal form."""

    query: str
    release: str
    hits: list[SearchHit]


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
    """Connections to one server: at work, waiting for work, and at most."""

    server: str
    in_use: int
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
