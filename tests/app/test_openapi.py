"""The description of the routes is true: every route has one, and the service answers nothing that it does not say."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import jsonschema
import msgspec
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.routing import Route

from app.api.routes import FREE_PATHS, ROUTES
from app.openapi import document, operation_of
from hms.bench.servers import Postgres, Redis
from hms.bench.service import Service
from tests.app.conftest import AS_ADMIN

DESCRIPTION = msgspec.json.decode(msgspec.json.encode(document(ROUTES)))

ADMIN_KEY = "the-administrator-of-these-tests-0123456789"

EXAMPLES = 15
"""Requests that are made of each operation, in both of schemathesis' moods: as the description says, and against it."""

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    unsupported_method,
    negative_data_rejection,
)


def closed(description: dict[str, Any]) -> dict[str, Any]:
    """Return the description with no field allowed that it does not name: clients may meet more, this test may not."""
    strict = copy.deepcopy(description)
    for schema in strict["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return strict


schema = schemathesis.openapi.from_dict(closed(DESCRIPTION))


@pytest.fixture(scope="module")
def administered(
    postgres: Postgres, redis: Redis, database_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Yield a service that knows an administrator, who may ask for everything."""
    del postgres
    file = tmp_path_factory.mktemp("keys") / "admin-key"
    file.write_text(ADMIN_KEY)
    with Service(**database_environment, **redis.environment, HMS_ADMIN_KEY_FILE=str(file)) as service:
        yield service.until_ready()


@schema.parametrize()
@hypothesis.seed(20261123)
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
def test_the_service_answers_as_it_is_described(case: schemathesis.Case[Any], administered: Service) -> None:
    case.call_and_validate(base_url=administered.url, headers={"x-api-key": ADMIN_KEY}, checks=list(CHECKS), timeout=60)


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("/api/v1/enterprise/releases/current/export", 1),
        ("/api/v1/health/resources", 1),
        ("/api/v1/admin/keys", 1),
    ],
)
def test_the_administrators_routes_answer_as_they_are_described(path: str, lines: int, administered: Service) -> None:
    """What generated parameters seldom hit: a release that there is."""
    with administered.client.stream("GET", path, headers={"x-api-key": ADMIN_KEY}) as answer:
        assert answer.status_code == 200
        assert len([line for line, _ in zip(answer.iter_lines(), range(3), strict=False)]) >= lines
    assert administered.get(path).status_code == 401


def test_the_description_is_served_and_is_openapi_3_1(service: Service) -> None:
    answer = service.get("/api/v1/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DESCRIPTION
    assert DESCRIPTION["openapi"] == "3.1.0"
    for name, shape in DESCRIPTION["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(shape)
        assert shape.get("description") or "enum" in shape, f"{name} has no docstring"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{'+'.join(sorted(route.methods or ()))} {route.path}")
def test_every_route_is_declared_with_the_parameters_of_its_path(route: Route) -> None:
    declared = operation_of(route)
    assert declared.summary, "the handler's docstring is its summary"
    in_path = {parameter.name for parameter in declared.parameters if parameter.place == "path"}
    assert in_path == set(route.param_convertors)


def readable_routes() -> list[Route]:
    """List the routes for programs: whoever links to the page for people may add what he likes."""
    return [route for route in ROUTES if "GET" in (route.methods or ()) and route.path not in FREE_PATHS | {"/"}]


@pytest.mark.parametrize("route", readable_routes(), ids=lambda route: route.path)
def test_the_parameters_that_a_route_takes_are_those_it_declares(route: Route, service: Service) -> None:
    """A route that gets an unknown parameter says which ones it knows."""
    examples = {parameter.name: str(parameter.example) for parameter in operation_of(route).parameters}
    path = re.sub(r"{(\w+)(:\w+)?}", lambda match: examples[match[1]], route.path)
    answer: httpx.Response = service.client.get(f"{path}?no-such-parameter=1", headers=AS_ADMIN)
    assert answer.status_code == 400, answer.text
    allowed = answer.json()["errors"][0]["detail"].partition("allowed: ")[2]
    queried = {parameter.name for parameter in operation_of(route).parameters if parameter.place == "query"}
    assert set(allowed.split(", ")) - {"none"} == queried


@pytest.mark.parametrize("lie", ["a field of another type", "a field that is not described", "a status"])
def test_what_is_not_described_is_found(lie: str, service: Service) -> None:
    """The checks of this file can fail: the same service, held to a description that is wrong, is refused."""
    wrong = closed(DESCRIPTION)
    hit = wrong["components"]["schemas"]["SearchHit"]
    if lie == "a status":
        del wrong["paths"]["/api/v1/search"]["get"]["responses"]["200"]
    elif lie == "a field of another type":
        hit["properties"]["title"] = {"type": "integer"}
    else:
        del hit["properties"]["title"]
        hit["required"].remove("title")
    case = schemathesis.openapi.from_dict(wrong)["/api/v1/search"]["GET"].Case(query={"q": "heart failure"})
    with pytest.raises((Failure, FailureGroup)):
        case.call_and_validate(base_url=service.url, checks=list(CHECKS))
