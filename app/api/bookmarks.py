"""`/api/v1/users/{user}/bookmarks`: what a user wants to find again, kept durably.

Every write answers with the header `HMS-Read-After`; a list that is asked for with it has that write, from whichever
member of the database it is read.
"""

import re
from typing import Annotated

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import code_of, deadline_of, json_response, only, service_of, whole_of
from app.api.shapes import BookmarkBody, BookmarkPage, ListedBookmark
from app.codes import canonical
from app.db import bookmarks, wal
from app.errors import InvalidCodeError
from app.openapi import CODE, USER, Answer, Parameter, limit_parameter, operation
from app.problems import invalid, not_found

READ_AFTER = "HMS-Read-After"

_READ_AFTER = Parameter(
    READ_AFTER,
    Annotated[str, Meta(pattern="^[0-9A-F]{1,8}/[0-9A-F]{1,8}$")],
    "As the answer to a write had it: the list has that write. Without it the list is read where writes go.",
    place="header",
)

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DEFAULT_LISTED = 100
_MOST_LISTED = 1000


@operation(
    tag="bookmarks",
    parameters=(USER, CODE),
    answers={200: Answer(BookmarkBody), 201: Answer(BookmarkBody)},
    problems={404},
)
async def put_bookmark(request: Request) -> Response:
    """Keep a bookmark: 201 if it is new, 200 if it was there; both only when it is durable.

    Answers with a failure leave it open whether the bookmark is kept; the request may be made again.
    """
    only(request)
    user, code = _user_of(request), code_of(request)
    outcome, position = await service_of(request).router.write_marked(
        lambda connection: bookmarks.put(connection, user=user, code=code), deadline_of(request)
    )
    if outcome is bookmarks.Outcome.UNKNOWN_CODE:
        raise not_found(f"code {code} is not in the current release")
    status = 201 if outcome is bookmarks.Outcome.CREATED else 200
    return json_response(BookmarkBody(user=user, code=code), status=status, headers=_mark(position))


@operation(tag="bookmarks", parameters=(USER, CODE), answers={204: Answer(None)})
async def delete_bookmark(request: Request) -> Response:
    """Remove a bookmark: 204, also if it was not there."""
    only(request)
    user, code = _user_of(request), code_of(request)
    _, position = await service_of(request).router.write_marked(
        lambda connection: bookmarks.delete(connection, user=user, code=code), deadline_of(request)
    )
    return Response(status_code=204, headers=_mark(position))


@operation(
    tag="bookmarks",
    parameters=(
        USER,
        Parameter("after", str, "The `next` of the page before: the page begins after this code.", example="E11.9"),
        limit_parameter(default=_DEFAULT_LISTED, most=_MOST_LISTED),
        _READ_AFTER,
    ),
    answers={200: Answer(BookmarkPage)},
)
async def get_bookmarks(request: Request) -> Response:
    """List the bookmarks, by code, in pages.

    With `HMS-Read-After` it is read from any member that has that write, and waits for one. Without, from the primary,
    so that who just wrote sees what he wrote; while there is none, from a replica, which may lag.
    """
    only(request, "after", "limit")
    user = _user_of(request)
    limit = whole_of(request, "limit", default=_DEFAULT_LISTED, low=1, high=_MOST_LISTED)
    after = _after_of(request)
    position = _position_of(request)
    found = await service_of(request).router.read(
        lambda connection: bookmarks.listed(connection, user=user, after=after, limit=limit + 1),
        deadline_of(request),
        fresh=position is None,
        at_least=position if position is not None else wal.START,
    )
    page = found[:limit]
    return json_response(
        BookmarkPage(
            user=user,
            bookmarks=[ListedBookmark(code=mark.code, title=mark.title, created_at=mark.created_at) for mark in page],
            next=page[-1].code if len(found) > limit else None,
        )
    )


def _user_of(request: Request) -> str:
    user = str(request.path_params["user"])
    if not _USER.fullmatch(user):
        raise invalid("user", "must be 1 to 64 letters, digits or any of . _ @ -, a letter or a digit first")
    return user


def _mark(position: wal.Position) -> dict[str, str]:
    return {READ_AFTER: wal.spelled(position)}


def _position_of(request: Request) -> wal.Position | None:
    raw = request.headers.get(READ_AFTER)
    try:
        return wal.parse(raw) if raw is not None else None
    except ValueError as error:
        raise invalid(READ_AFTER, f"{error}: send what the answer to a write had") from error


def _after_of(request: Request) -> str:
    raw = request.query_params.get("after")
    try:
        return canonical(raw) if raw is not None else ""
    except InvalidCodeError as error:
        raise invalid("after", str(error)) from error
