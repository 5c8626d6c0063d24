"""Each route, with good and with bad input."""

import json

import httpx
import pytest

from hms.bench.servers import Postgres
from hms.bench.service import Service

RELEASE = "icd-10-cm-2026-04"


def problem(answer: httpx.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:hms:problem:")
    assert document["request_id"] == answer.headers["x-request-id"]
    assert isinstance(document, dict)
    return document


def bad_field(answer: httpx.Response) -> str:
    errors = problem(answer, 400)["errors"]
    assert isinstance(errors, list)
    return str(errors[0]["field"])


def codes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["code"] for hit in answer.json()["hits"]]


def test_a_code_with_all_that_is_known_of_it(service: Service) -> None:
    detail = service.get("/api/v1/codes/E11").json()
    assert detail["title"] == "Type 2 diabetes mellitus"
    assert (detail["code"], detail["release"], detail["kind"], detail["billable"]) == (
        "E11",
        RELEASE,
        "category",
        False,
    )
    assert detail["chapter"] == {"name": "4", "title": "Endocrine, nutritional and metabolic diseases (E00-E89)"}
    assert detail["block"] == {"name": "E08-E13", "title": "Diabetes mellitus (E08-E13)"}
    assert detail["parent"] is None
    assert [child["code"] for child in detail["children"]] == [f"E11.{last}" for last in "012345689A"]
    assert detail["children"][-2] == {
        "code": "E11.9",
        "title": "Type 2 diabetes mellitus without complications",
        "billable": True,
    }
    assert detail["ancestors"] == []
    assert "diabetes NOS" in detail["notes"]["includes"]
    assert "type 1 diabetes mellitus (E10.-)" in detail["notes"]["excludes1"]
    assert any("insulin (Z79.4)" in line for line in detail["notes"]["use_additional_code"])


def test_a_code_with_synonyms_and_one_made_by_a_seventh_character(service: Service) -> None:
    assert (
        "Acute transmural myocardial infarction of anterior wall"
        in service.get("/api/v1/codes/I21.09").json()["synonyms"]
    )
    femur = service.get("/api/v1/codes/S72.001A").json()
    assert (femur["kind"], femur["parent"], femur["billable"]) == ("extension", "S72.001", True)
    assert [above["code"] for above in femur["ancestors"]] == ["S72", "S72.0", "S72.00", "S72.001"]
    assert femur["ancestors"][0]["title"] == "Fracture of femur"
    assert any("traumatic amputation of hip" in note for note in femur["ancestors"][0]["notes"]["excludes1"])


@pytest.mark.parametrize("written", ["E11.9", "e11.9", "E119", "e119", "%20E119%20"])
def test_the_dot_and_the_case_do_not_matter(service: Service, written: str) -> None:
    assert service.get(f"/api/v1/codes/{written}").json()["code"] == "E11.9"


@pytest.mark.parametrize("code", ["C50", "R99", "QA0", "B20"])
def test_a_name_that_is_block_and_category_is_the_category(service: Service, code: str) -> None:
    detail = service.get(f"/api/v1/codes/{code}").json()
    assert (detail["kind"], detail["block"]["name"]) == ("category", code)


@pytest.mark.parametrize(
    "written", ["x", "E1", "E11..9", "E11.99999", "%00%00%00", "É11", "'; DROP TABLE icd10_codes; --"]
)
def test_what_is_no_code_is_a_400(service: Service, written: str) -> None:
    assert bad_field(service.get(f"/api/v1/codes/{written}")) == "code"


def test_a_code_that_is_not_in_the_release_is_a_404(service: Service) -> None:
    document = problem(service.get("/api/v1/codes/E11.95"), 404)
    assert document["detail"] == f"code E11.95 is not in release {RELEASE}"


@pytest.mark.parametrize("query", ["E11.9", "e119"])
def test_the_exact_code_comes_first(service: Service, query: str) -> None:
    first = service.get("/api/v1/search", q=query).json()["hits"][0]
    assert first == {
        "code": "E11.9",
        "title": "Type 2 diabetes mellitus without complications",
        "billable": True,
        "chapter": 4,
        "match": "code",
    }


def test_the_beginning_of_a_code_finds_the_shortest_first(service: Service) -> None:
    page = service.get("/api/v1/search", q="s72", limit=100).json()
    assert [hit["match"] for hit in page["hits"]] == ["code"] + ["prefix"] * 99
    found = [hit["code"] for hit in page["hits"]]
    assert found == sorted(found, key=lambda code: (len(code), code))
    assert all(code.startswith("S72") for code in found)
    assert codes(service.get("/api/v1/search", q="E1"))[:4] == ["E10", "E11", "E13", "E15"]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("heart failure", "I50"),
        ("fracture of femur", "S72"),
        ("asthma", "J45"),
        ("diabeti retinop", "E10.31"),
        ("APPENDICITIS acute", "K35"),
        ("paget's disease of bone", "M88"),
    ],
)
def test_words_find_the_code_that_they_name(service: Service, query: str, first: str) -> None:
    assert first in codes(service.get("/api/v1/search", q=query, limit=10))[:6]


def test_words_may_be_begun_and_may_be_of_another_number(service: Service) -> None:
    for written in ("diabeti", "diabetic", "diabetes"):
        assert any(code.startswith("E1") for code in codes(service.get("/api/v1/search", q=written, limit=50))), written
    assert any(code.startswith("H35") for code in codes(service.get("/api/v1/search", q="retinopathies", limit=50)))


def test_synonyms_are_found(service: Service) -> None:
    assert "Z21" in codes(service.get("/api/v1/search", q="HIV positive NOS"))


def test_a_broad_word_still_finds_the_general_codes(service: Service) -> None:
    categories = [code for code in codes(service.get("/api/v1/search", q="fracture", limit=30)) if len(code) == 3]
    assert {"S52", "S72"} <= set(categories)


@pytest.mark.parametrize(
    "query", ["fracture", "diabetes", "e11", "acute", "heart fail", "injury of", "B12 deficiency", "S7"]
)
def test_the_order_does_not_change_with_the_limit(service: Service, query: str) -> None:
    longest = codes(service.get("/api/v1/search", q=query, limit=100))
    assert len(longest) == len(set(longest))
    for limit in (1, 2, 7, 20, 99):
        assert codes(service.get("/api/v1/search", q=query, limit=limit)) == longest[:limit]


@pytest.mark.parametrize("query", ["xylophone quartet", "the of and", "zz", "9999", "a:* | 'b"])
def test_what_finds_nothing_is_an_empty_page(service: Service, query: str) -> None:
    assert codes(service.get("/api/v1/search", q=query)) == []


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ("", "q"),
        ("q=", "q"),
        ("q=a", "q"),
        ("q=%00%01", "q"),
        ("q=" + "*" * 10_000, "q"),
        ("q=" + "x" * 10_240, "q"),
        ("q=" + "+".join(f"word{n}" for n in range(20)), "q"),
        ("q=heart&limit=0", "limit"),
        ("q=heart&limit=101", "limit"),
        ("q=heart&limit=ten", "limit"),
        ("q=heart&limit=-1", "limit"),
        ("q=heart&limit=1&limit=2", "limit"),
        ("q=heart&limits=1", "limits"),
        ("q=heart&chapter=0", "chapter"),
        ("q=heart&chapter=23", "chapter"),
        ("q=heart&chapter=IX", "chapter"),
        ("q=heart&billable=1", "billable"),
        ("q=heart&billable=true&billable=true", "billable"),
        ("q=heart&release=", "release"),
        ("q=heart&release=%00", "release"),
        ("q=heart&release=icd-11", "release"),
        ("q=heart&cursor=", "cursor"),
        ("q=heart&cursor=AAAA", "cursor"),
        ("q=heart&cursor=" + "A" * 2000, "cursor"),
    ],
)
def test_bad_input_is_a_400_that_names_the_field(service: Service, parameters: str, field: str) -> None:
    assert bad_field(service.get(f"/api/v1/search?{parameters}")) == field


def test_a_bookmark_is_made_once_and_stays(service: Service, postgres: Postgres) -> None:
    assert service.put_bookmark("ann", "e119").status_code == 201
    again = service.put_bookmark("ann", "E11.9")
    assert (again.status_code, again.json()) == (200, {"user": "ann", "code": "E11.9"})
    assert service.put_bookmark("ann", "A00").status_code == 201
    assert service.bookmarks("ann") == ["A00", "E11.9"]
    assert postgres.value("SELECT count(*) FROM bookmarks WHERE user_name = 'ann'") == 2


def test_a_bookmark_can_be_removed(service: Service) -> None:
    path = "/api/v1/users/bob/bookmarks/A00"
    assert service.put_bookmark("bob", "A00").status_code == 201
    assert [service.client.delete(path).status_code for _ in range(2)] == [204, 204]
    assert service.bookmarks("bob") == []


def test_bookmarks_come_in_pages(service: Service) -> None:
    kept = ["A00", "B20", "C50", "E11.9", "I50"]
    for code in kept:
        service.put_bookmark("pages", code)
    seen: list[str] = []
    after: dict[str, str | int] = {}
    for _ in range(3):
        page = service.get("/api/v1/users/pages/bookmarks", limit=2, **after).json()
        seen += [mark["code"] for mark in page["bookmarks"]]
        after = {"after": str(page["next"])}
    assert seen == kept
    assert page["next"] is None
    assert page["bookmarks"][0]["title"] == "Heart failure"


def test_bad_bookmarks_are_refused(service: Service) -> None:
    problem(service.put_bookmark("ann", "E11.95"), 404)
    assert bad_field(service.put_bookmark("ann", "no")) == "code"
    assert bad_field(service.put_bookmark("a" * 65, "E11")) == "user"
    assert bad_field(service.put_bookmark("-ann", "E11")) == "user"
    assert bad_field(service.get("/api/v1/users/ann/bookmarks", after="zz")) == "after"
    assert bad_field(service.get("/api/v1/users/ann/bookmarks", limit=1001)) == "limit"


def test_what_is_not_there_and_what_is_not_allowed(service: Service) -> None:
    problem(service.get("/api/v1/nothing"), 404)
    refused = service.client.post("/api/v1/search")
    problem(refused, 405)
    assert "GET" in refused.headers["allow"]
    bookmark = service.client.post("/api/v1/users/ann/bookmarks/E11")
    problem(bookmark, 405)


def test_too_long_an_address_and_too_large_a_body(service: Service) -> None:
    problem(service.get("/api/v1/search?q=" + "a" * 13_000), 414)
    problem(service.client.put("/api/v1/users/ann/bookmarks/E11", content=b"x" * 70_000), 413)
    unstated = service.client.put("/api/v1/users/ann/bookmarks/E11", content=iter([b"x"] * 3))
    problem(unstated, 411)
    assert service.put_bookmark("ann", "E11").status_code in {200, 201}


def test_health(service: Service) -> None:
    assert service.get("/api/v1/health/live").json() == {"status": "live"}
    assert service.get("/api/v1/health/ready").json() == {"status": "ready", "release": RELEASE}


def test_a_request_keeps_the_identity_that_its_client_gave_it(service: Service) -> None:
    def identity(given: str) -> str:
        return str(service.client.get("/api/v1/codes/E11", headers={"x-request-id": given}).headers["x-request-id"])

    assert identity("client-0123456789") == "client-0123456789"
    assert identity("a b") != "a b"
    assert identity("x" * 100) != "x" * 100


def test_metrics_count_what_happened_by_route_and_not_by_path(service: Service) -> None:
    counted = 'hms_app_request_duration_seconds_count{method="GET",route="/api/v1/codes/{code}",status="404"}'
    before = service.metric(counted)
    service.get("/api/v1/codes/E11.95")
    service.get("/api/v1/codes/E11.96")
    assert service.metric(counted) == before + 2
    text = service.client.get("/metrics").text
    assert "E11.95" not in text
    assert 'role="primary"} 1.0' in text
    assert "hms_app_postgres_connections_limit" in text
    assert "process_resident_memory_bytes" in text


def test_logs_are_json_and_have_no_text_of_a_query(service: Service) -> None:
    service.get("/api/v1/search", q="secret lumbago")
    service.get("/api/v1/codes/nonsense-code")
    for line in service.process.lines:
        assert {"at", "level", "message"} <= set(json.loads(line))
    assert "lumbago" not in service.process.output
    assert "nonsense" not in service.process.output
