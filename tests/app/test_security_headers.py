"""What every answer tells a browser not to do with it, whoever of the service gave it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.test_protection import locked

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.fixture(scope="module")
def narrow(postgres: Postgres, database_environment: dict[str, str]) -> Iterator[Service]:
    del postgres
    with Service(**database_environment, HMS_MAX_CONCURRENCY="1", HMS_REQUEST_TIMEOUT_SECONDS="600") as service:
        yield service.until_ready()


def has_them(answer: httpx.Response, status: int) -> bool:
    assert answer.status_code == status, answer.text
    return {name: answer.headers.get_list(name) for name in HEADERS} == {
        name: [value] for name, value in HEADERS.items()
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/codes/E11.9", 200),
        ("/metrics", 200),
        ("/api/v1/codes/x", 400),
        ("/api/v1/admin/keys", 401),
        ("/api/v1/codes/E11.95", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/codes/batch", 404),
        ("/api/v1/search?q=" + "a" * 13_000, 414),
    ],
)
def test_answers_have_the_headers(narrow: Service, path: str, status: int) -> None:
    assert has_them(narrow.get(path), status)


def test_a_refusal_for_want_of_a_slot_has_them_too(narrow: Service, postgres: Postgres) -> None:
    with ThreadPoolExecutor(1) as threads, locked(postgres, "bookmarks"):
        running = threads.submit(narrow.put_bookmark, "headers", "E11")
        eventually(lambda: narrow.metric("hms_app_requests_active") == 2)  # it, and this question
        assert has_them(narrow.get("/api/v1/codes/E11.9"), 503)
    assert has_them(running.result(), 201)


def test_the_page_has_a_policy_of_its_own_and_the_others(narrow: Service) -> None:
    answer = narrow.get("/")
    policy = answer.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert policy != [HEADERS["content-security-policy"]]
    assert "frame-ancestors 'none'" in policy[0]
    for name in HEADERS.keys() - {"content-security-policy"}:
        assert answer.headers[name] == HEADERS[name]
