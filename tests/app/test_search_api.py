"""Pages, batches and suggestions as a client gets them, and what happens when the release changes under a list."""

import json
import string
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.shapes import MOST_CODES
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.releases import small, store_and_switch
from tests.app.test_api import bad_field, codes, problem

ANYTHING = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

written = st.text(max_size=300) | st.text(string.ascii_letters + string.digits + " .:*&|!'()%_-", max_size=80)


def batch(service: Service, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return service.client.post(
        "/api/v1/codes/batch", content=content, headers={"content-type": "application/json", **headers}
    )


@ANYTHING
@given(q=written)
def test_any_text_is_answered_or_refused_by_its_field(service: Service, q: str) -> None:
    for path in ("/api/v1/search", "/api/v1/autocomplete"):
        answer = service.get(path, q=q)
        if answer.status_code != 200:
            assert bad_field(answer) == "q"


@ANYTHING
@given(name=st.sampled_from(["chapter", "billable", "release", "limit", "cursor"]), value=st.text(max_size=40))
def test_any_value_of_a_parameter_is_taken_or_refused_by_its_name(service: Service, name: str, value: str) -> None:
    answer = service.get("/api/v1/search", q="heart", **{name: value})
    if answer.status_code != 200:
        assert bad_field(answer) == name


def test_pages_follow_each_other_by_their_cursors(service: Service) -> None:
    at_once = codes(service.get("/api/v1/search", q="heart failure", chapter=9, limit=100))
    assert len(at_once) > 20
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = service.get("/api/v1/search", q="Heart  FAILURE", chapter=9, limit=7, **cursor)
        seen += codes(page)
        if page.json()["next"] is None:
            break
        cursor = {"cursor": page.json()["next"]}
    assert seen == at_once


def test_a_cursor_belongs_to_its_search(service: Service) -> None:
    cursor = service.get("/api/v1/search", q="heart failure", limit=3).json()["next"]
    assert service.get("/api/v1/search", q="heart failure", cursor=cursor).status_code == 200
    assert bad_field(service.get("/api/v1/search", q="heart", cursor=cursor)) == "cursor"
    assert bad_field(service.get("/api/v1/search", q="heart failure", chapter=9, cursor=cursor)) == "cursor"
    assert bad_field(service.get("/api/v1/search", q="heart failure", cursor=cursor[:-2])) == "cursor"


def test_filters_narrow(service: Service) -> None:
    page = service.get("/api/v1/search", q="fracture", chapter=13, billable="true", limit=100).json()
    assert len(page["hits"]) == 100
    assert all(hit["chapter"] == 13 and hit["billable"] for hit in page["hits"])
    assert codes(service.get("/api/v1/search", q="e11.9", billable="false")) == []
    assert codes(service.get("/api/v1/search", q="e11", chapter=5)) == []


def test_a_correction_is_said(service: Service) -> None:
    page = service.get("/api/v1/search", q="diabtes mellitus", limit=5).json()
    assert page["did_you_mean"] == "diabetes mellitus"
    assert {hit["match"] for hit in page["hits"]} == {"corrected"}
    assert service.get("/api/v1/search", q="diabetes mellitus", limit=5).json()["did_you_mean"] is None


@pytest.mark.parametrize(("typed", "first"), [("e11", "E11"), ("s7", "S70"), ("asthm", "J45"), ("heart f", "I50")])
def test_what_is_typed_is_completed(service: Service, typed: str, first: str) -> None:
    suggestions = service.get("/api/v1/autocomplete", q=typed).json()["suggestions"]
    assert 1 < len(suggestions) <= 10
    assert first in [each["code"] for each in suggestions][:5]


def test_no_title_is_suggested_twice(service: Service) -> None:
    titles = [each["title"] for each in service.get("/api/v1/autocomplete", q="sezary", limit=25).json()["suggestions"]]
    assert len(titles) > 1
    assert len(set(titles)) == len(titles)
    assert bad_field(service.get("/api/v1/autocomplete", q="heart", limit=26)) == "limit"
    assert service.get("/api/v1/autocomplete", q="pnemonia").json()["suggestions"] == []


def test_a_batch_tells_what_is_found_and_what_is_not_in_the_order_asked(service: Service) -> None:
    answer = batch(service, {"codes": ["s72.001a", "E11.95", "E119", "nonsense", "A00", "E11.9", "\x00"]}).json()
    assert [(found["asked"], found["code"]) for found in answer["found"]] == [
        ("s72.001a", "S72.001A"),
        ("E119", "E11.9"),
        ("A00", "A00"),
        ("E11.9", "E11.9"),
    ]
    assert answer["found"][1]["title"] == "Type 2 diabetes mellitus without complications"
    assert answer["not_found"] == [
        {"asked": "E11.95", "reason": "unknown"},
        {"asked": "nonsense", "reason": "invalid"},
        {"asked": "\x00", "reason": "invalid"},
    ]


def test_a_batch_has_a_thousand_codes_at_most(service: Service, postgres: Postgres) -> None:
    with postgres.connect() as connection:
        rows = connection.execute("SELECT code FROM icd10_codes WHERE active ORDER BY md5(code) LIMIT 1000").fetchall()
    wanted = [str(row[0]) for row in rows]
    answer = batch(service, {"codes": wanted}).json()
    assert [found["code"] for found in answer["found"]] == wanted
    assert answer["not_found"] == []
    assert bad_field(batch(service, {"codes": ["A00"] * (MOST_CODES + 1)})) == "codes"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        ([], "body"),
        ({}, "body"),
        ({"codes": []}, "codes"),
        ({"codes": "A00"}, "codes"),
        ({"codes": ["A00", 7]}, "codes[1]"),
        ({"codes": ["A" * 41]}, "codes[0]"),
        ({"codes": ["A00"], "release": "icd-11"}, "release"),
        ({"codes": ["A00"], "more": 1}, "body"),
    ],
)
def test_a_bad_batch_is_refused_by_its_field(service: Service, body: object, field: str) -> None:
    refused = bad_field(batch(service, body))
    assert refused.partition("[")[0] == field.partition("[")[0]


def test_a_batch_is_json_of_bounded_size(service: Service) -> None:
    problem(batch(service, b"codes=A00", **{"content-type": "application/x-www-form-urlencoded"}), 415)
    problem(batch(service, b" " * 70_000), 413)


@pytest.fixture(scope="module")
def switched(postgres: Postgres, database_environment: dict[str, str]) -> Iterator[Service]:
    """Yield a service over two small releases, of which `second` is current."""
    postgres.create("switched")
    store_and_switch(postgres, "switched", small("first", "Cholera alpha", "Typhoid alpha", "Shigellosis alpha"))
    store_and_switch(postgres, "switched", small("second", "Cholera beta", "Typhoid beta", "Shigellosis beta"))
    with Service(**{**database_environment, "HMS_POSTGRES_DATABASE": "switched"}) as service:
        eventually(lambda: service.get("/api/v1/health/ready").status_code == 200)
        yield service


def titles(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["title"] for hit in answer.json()["hits"]]


def test_an_old_release_answers_as_it_was(switched: Service) -> None:
    assert titles(switched.get("/api/v1/search", q="alpha")) == []
    old = switched.get("/api/v1/search", q="alpha", release="first")
    assert sorted(titles(old)) == ["Cholera alpha", "Shigellosis alpha", "Typhoid alpha"]
    assert old.json()["release"] == "first"
    assert titles(switched.get("/api/v1/search", q="a01", release="first")) == ["Typhoid alpha"]
    assert titles(switched.get("/api/v1/search", q="typhoid", release="second")) == ["Typhoid beta"]
    assert switched.get("/api/v1/codes/A00", release="first").json()["title"] == "Cholera alpha"
    assert switched.get("/api/v1/codes/A00").json()["title"] == "Cholera beta"
    found = batch(switched, {"codes": ["A00"], "release": "first"}).json()
    assert (found["release"], found["found"][0]["title"]) == ("first", "Cholera alpha")
    refused = switched.get("/api/v1/search", q="alpha", release="third")
    assert bad_field(refused) == "release"
    assert "third is not loaded; the last ones that were: first, second" in refused.text


def test_pages_of_an_old_release_follow_each_other(switched: Service) -> None:
    first = switched.get("/api/v1/search", q="alpha", release="first", limit=2)
    second = switched.get("/api/v1/search", q="alpha", release="first", limit=2, cursor=first.json()["next"])
    assert len({*titles(first), *titles(second)}) == 3
    assert second.json()["next"] is None


def test_a_list_that_was_begun_in_another_release_ends_with_a_410(switched: Service, postgres: Postgres) -> None:
    begun = switched.get("/api/v1/search", q="beta", limit=2).json()
    store_and_switch(postgres, "switched", small("third", "Cholera beta", "Typhoid beta", "Shigellosis beta"))
    document = problem(switched.get("/api/v1/search", q="beta", limit=2, cursor=begun["next"]), 410)
    assert document["type"] == "urn:hms:problem:release-changed"
    assert "begun in release second, and this is third" in str(document["detail"])
    given = switched.get("/api/v1/search", q="beta", release="second", limit=2).json()
    rest = switched.get("/api/v1/search", q="beta", release="second", limit=2, cursor=given["next"])
    assert len(titles(rest)) == 1, "a list of a release that was named goes on"
