"""The description of the routes, OpenAPI 3.1: made from the handlers' declarations and the shapes of their answers.

Each handler carries its declaration, `@operation(...)`, beside the code that it describes; `tests/app/test_openapi.py`
has no route without one, and holds the service to every status and shape that is declared here.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.problems import Document

VERSION = "1.0.0"
"""Of the interface: the first number is that of the path."""

EVERYWHERE = frozenset({400, 401, 408, 411, 413, 414, 429, 500, 503, 504})
"""Problems with which any route that does work may answer."""

FREE = frozenset({401, 408, 411, 413, 414, 500, 503})
"""Problems of a route that takes no slot and asks no database."""

_REF = "#/components/schemas/{name}"
_CONVERTOR = re.compile(r":\w+}")
_JSON = "application/json"
_PROBLEM = "application/problem+json"

Handler = Callable[[Request], Awaitable[Response]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path, the query or a header. `shape` is a type that msgspec can describe."""

    name: str
    shape: Any
    description: str
    place: str = "query"
    required: bool = False
    example: str | int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no problem: the shape of its body (None: it has none), and what it is written in."""

    shape: Any
    media: str = _JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What the client of one handler may know of it. Summary and description are the handler's docstring."""

    tag: str
    answers: Mapping[int, Answer]
    parameters: tuple[Parameter, ...]
    problems: frozenset[int]
    body: Any
    key: str | None
    summary: str
    description: str


_OPERATIONS: dict[object, Operation] = {}


def operation(
    *,
    tag: str,
    answers: Mapping[int, Answer],
    parameters: tuple[Parameter, ...] = (),
    problems: Iterable[int] = (),
    free: bool = False,
    body: Any = None,
    key: str | None = None,
) -> Callable[[H], H]:
    """Declare a handler: its parameters, its answers and the problems beyond those of every route.

    `free` is a route that takes no slot; `body` is the shape of what it reads; `key` says which API key it demands.
    """

    def declare(handler: H) -> H:
        summary, _, rest = (inspect.getdoc(handler) or "").partition("\n\n")
        _OPERATIONS[handler] = Operation(
            tag=tag,
            answers=answers,
            parameters=parameters,
            problems=frozenset(problems) | (FREE if free else EVERYWHERE),
            body=body,
            key=key,
            summary=" ".join(summary.split()),
            description=rest.strip(),
        )
        return handler

    return declare


def operation_of(route: Route) -> Operation:
    """Return the declaration of a route's handler. Raises `LookupError` that says what is missing."""
    found = _OPERATIONS.get(route.endpoint)
    if found is None:
        raise LookupError(f"{route.path}: {route.name} is not declared; put @operation of app.openapi before it")
    return found


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """Return the description of `routes`, as JSON's types. Raises `LookupError` for a route without a declaration."""
    declared = [
        (route, operation_of(route)) for route in routes if isinstance(route, Route) and route.include_in_schema
    ]
    shapes: list[Any] = [Document]
    for _, each in declared:
        shapes += [parameter.shape for parameter in each.parameters]
        shapes += [answer.shape for answer in each.answers.values() if answer.shape is not None]
        shapes += [each.body] if each.body is not None else []
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    known = dict(zip(map(repr, shapes), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route, each in declared:
        path = _CONVERTOR.sub("}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(path, {})[method.lower()] = _described(route, each, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "HMS terminology service",
            "version": VERSION,
            "description": "ICD-10-CM: search, look-up, bookmarks. What fails is a problem document of RFC 9457.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "responses": {f"Problem{status}": _problem(status) for status in sorted(_statuses(declared))},
        },
    }


def _statuses(declared: list[tuple[Route, Operation]]) -> set[int]:
    return {status for _, each in declared for status in each.problems}


def _described(route: Route, each: Operation, known: Mapping[str, Any]) -> dict[str, Any]:
    answers = {str(status): _answer(status, answer, known) for status, answer in each.answers.items()}
    problems = {
        str(status): {"$ref": f"#/components/responses/Problem{status}"}
        for status in each.problems
        if status not in each.answers
    }
    described: dict[str, Any] = {
        "operationId": route.name,
        "tags": [each.tag],
        "summary": each.summary,
        "parameters": [_parameter(parameter, known) for parameter in each.parameters],
        "responses": dict(sorted({**answers, **problems}.items())),
        # Anonymous clients may ask what no key guards; a key raises their limits.
        "security": [{"key": []}] if each.key else [{}, {"key": []}],
    }
    if each.description:
        described["description"] = each.description
    if each.body is not None:
        content = {_JSON: {"schema": known[repr(each.body)]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameter(parameter: Parameter, known: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required or parameter.place == "path",
        "description": parameter.description,
        "schema": known[repr(parameter.shape)],
    }
    if parameter.example is not None:
        described["example"] = parameter.example
    return described


def _answer(status: int, answer: Answer, known: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": _headers(status)}
    if answer.shape is not None:
        described["content"] = {answer.media: {"schema": known[repr(answer.shape)]}}
    return described


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers(status),
        "content": {_PROBLEM: {"schema": {"$ref": _REF.format(name=Document.__name__)}}},
    }


def _headers(status: int) -> dict[str, Any]:
    headers = {
        "x-request-id": {
            "description": "The identity of the request, as it stands in the log.",
            "required": True,
            "schema": {"type": "string"},
        }
    }
    if status in {429, 503}:
        headers["retry-after"] = {
            "description": "Seconds after which it may succeed.",
            "required": False,
            "schema": {"type": "string", "pattern": r"^\d+$"},
        }
    return headers


CODE = Parameter(
    "code",
    Annotated[str, Meta(min_length=1)],
    "A code of ICD-10-CM; the dot is optional, the case does not matter.",
    place="path",
    example="E11.9",
)

RELEASE = Parameter(
    "release",
    Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")],
    "A release that is loaded, by its name; without it, the current one.",
)

USER = Parameter(
    "user",
    Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")],
    "Whose bookmarks.",
    place="path",
    example="ann",
)


def limit_parameter(*, default: int, most: int) -> Parameter:
    """Return the parameter that bounds a page."""
    return Parameter("limit", Annotated[int, Meta(ge=1, le=most)], f"At most so many; {default} if it is not there.")
