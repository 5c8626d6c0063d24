"""Problem documents: what a client gets instead of an answer (RFC 9457)."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field of a request."""

    field: str
    detail: str


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The document itself; `type` is stable and is what a program should look at."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    request_id: str = ""


class Problem(Exception):  # noqa: N818 - the field's own word
    """Ends a request with a problem document."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        *,
        detail: str = "",
        errors: tuple[FieldError, ...] = (),
        retry_after_seconds: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            self.headers["retry-after"] = str(retry_after_seconds)

    def response(self, request_id: str) -> Response:
        """Return the answer that says it."""
        document = Document(
            type=f"urn:hms:problem:{self.kind}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            errors=self.errors,
            request_id=request_id,
        )
        return Response(
            msgspec.json.encode(document), self.status, headers=self.headers, media_type="application/problem+json"
        )


def invalid(field: str, detail: str) -> Problem:
    """Return the problem of one bad field."""
    return Problem(400, "invalid-request", "The request is not valid", errors=(FieldError(field, detail),))


def not_found(detail: str) -> Problem:
    """Return the problem of something that is not there."""
    return Problem(404, "not-found", "Not found", detail=detail)


def gone(detail: str) -> Problem:
    """Return the problem of a list that was begun in a release which is not the current one any more."""
    return Problem(410, "release-changed", "The release has changed", detail=detail)


def unavailable(detail: str) -> Problem:
    """Return the problem of a database that does not answer."""
    return Problem(503, "unavailable", "The service cannot answer now", detail=detail, retry_after_seconds=1)


def overloaded() -> Problem:
    """Return the problem of too many requests at once."""
    return Problem(
        503, "overloaded", "Too many requests at once", detail="try again in a moment", retry_after_seconds=1
    )


def timed_out(detail: str) -> Problem:
    """Return the problem of a request whose deadline has passed."""
    return Problem(504, "timeout", "The request took too long", detail=detail)


def unauthorised(detail: str) -> Problem:
    """Return the problem of a request without a key that opens what it asks for."""
    return Problem(
        401, "unauthorised", "An API key is needed", detail=detail, headers={"www-authenticate": 'ApiKey realm="hms"'}
    )


def forbidden(detail: str) -> Problem:
    """Return the problem of a key that does not open what is asked for."""
    return Problem(403, "forbidden", "The API key does not allow this", detail=detail)


def request_id(request: Request) -> str:
    """Return the identity of the request, as it stands in the log."""
    return str(request.scope.get("hms.request_id", ""))
