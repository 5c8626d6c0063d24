"""The shapes of the answers. Fields are documented here because clients see them."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

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
