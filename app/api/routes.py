"""Every route, and what a request gets that fails."""

import logging

import psycopg
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from app.api.admin import delete_key, get_keys, post_key
from app.api.bookmarks import delete_bookmark, get_bookmarks, put_bookmark
from app.api.codes import get_code, post_batch
from app.api.enterprise import get_differences, get_export
from app.api.health import live, metrics, openapi, ready
from app.api.kept_answers import delete_answers
from app.api.page import get_page
from app.api.requests import deadline_of
from app.api.resources import get_resources
from app.api.search import get_autocomplete, get_search
from app.api.statistics import get_chapters
from app.errors import TimedOutError, UnavailableError
from app.problems import Problem, request_id, timed_out, unavailable

_LOG = logging.getLogger("app.api")

ROUTES = (
    Route("/", get_page, methods=["GET"]),
    Route("/api/v1/codes/batch", post_batch, methods=["POST"]),
    Route("/api/v1/codes/{code}", get_code, methods=["GET"]),
    Route("/api/v1/search", get_search, methods=["GET"]),
    Route("/api/v1/autocomplete", get_autocomplete, methods=["GET"]),
    Route("/api/v1/users/{user}/bookmarks", get_bookmarks, methods=["GET"]),
    Route("/api/v1/users/{user}/bookmarks/{code}", put_bookmark, methods=["PUT"]),
    Route("/api/v1/users/{user}/bookmarks/{code}", delete_bookmark, methods=["DELETE"]),
    Route("/api/v1/admin/answers", delete_answers, methods=["DELETE"]),
    Route("/api/v1/admin/keys", post_key, methods=["POST"]),
    Route("/api/v1/admin/keys", get_keys, methods=["GET"]),
    Route("/api/v1/admin/keys/{id}", delete_key, methods=["DELETE"]),
    Route("/api/v1/enterprise/releases/{release}/export", get_export, methods=["GET"]),
    Route("/api/v1/enterprise/differences", get_differences, methods=["GET"]),
    Route("/api/v1/health/resources", get_resources, methods=["GET"]),
    Route("/api/v1/statistics/chapters", get_chapters, methods=["GET"]),
    Route("/api/v1/health/live", live, methods=["GET"]),
    Route("/api/v1/health/ready", ready, methods=["GET"]),
    Route("/api/v1/openapi.json", openapi, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
)

FREE_PATHS = frozenset(
    {"/api/v1/health/live", "/api/v1/health/ready", "/api/v1/health/resources", "/metrics"},
)
"""What has slots of its own and no limit: it must answer when nothing else does. Nothing else is among them."""

KEYLESS_PATHS = FREE_PATHS - {"/api/v1/health/resources"}
"""What answers everybody, whatever key is shown."""


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request_id(request))


async def _unavailable(request: Request, error: Exception) -> Response:
    return unavailable(str(error)).response(request_id(request))


async def _timed_out(request: Request, error: Exception) -> Response:
    return timed_out(str(error)).response(request_id(request))


async def _database(request: Request, error: Exception) -> Response:
    """Answer for a statement that failed by itself: ours to mend, unless somebody cancelled it."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        if deadline_of(request).passed:
            return timed_out("the database ended the statement at the deadline").response(request_id(request))
        return unavailable("the database cancelled the statement").response(request_id(request))
    return await _defect(request, error)


async def _defect(request: Request, error: Exception) -> Response:
    identity = request_id(request)
    _LOG.error("a request failed by a defect", exc_info=error, extra={"fields": {"request_id": identity}})
    return Problem(500, "defect", "The service failed", detail="the log has more").response(identity)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = Problem(
        error.status_code,
        "not-found" if error.status_code == 404 else "method-not-allowed" if error.status_code == 405 else "http",
        error.detail,
        headers=dict(error.headers or {}),
    )
    return problem.response(request_id(request))


EXCEPTION_HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    Problem: _problem,
    UnavailableError: _unavailable,
    TimedOutError: _timed_out,
    psycopg.Error: _database,
    HTTPException: _http,
    Exception: _defect,
}
