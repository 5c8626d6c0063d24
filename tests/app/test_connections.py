"""What a client can do with its connection, and how little that holds: heads, bodies and answers too large or slow."""

import json
from collections.abc import Iterator

import pytest

from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.raw import Client

LOOK_UP = b"GET /api/v1/codes/E11.9 HTTP/1.1\r\nhost: x\r\n"
SLOW_SECONDS = "1"


@pytest.fixture(scope="module")
def impatient(postgres: Postgres, database_environment: dict[str, str]) -> Iterator[Service]:
    """Yield a service with one slot, that waits for no client longer than a second."""
    del postgres
    settings = {"HMS_MAX_CONCURRENCY": "1", "HMS_SLOW_CLIENT_SECONDS": SLOW_SECONDS, "HMS_MAX_CONNECTIONS": "8"}
    with Service(**database_environment, **settings) as service:
        yield service.until_ready()


def status_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return int(head.split()[1]), str(json.loads(body)["type"])


def test_a_head_that_does_not_end_is_given_up_and_holds_no_slot(impatient: Service) -> None:
    with Client(impatient.url) as client:
        client.send(LOOK_UP)
        assert impatient.get("/api/v1/codes/E11.9").status_code == 200
        assert status_of(client.read_to_end()) == (408, "urn:hms:problem:slow-request")


def test_a_connection_on_which_nothing_is_said_is_closed(impatient: Service) -> None:
    with Client(impatient.url) as client:
        assert client.read_to_end() == b""


def test_a_body_that_does_not_end_is_given_up_and_holds_no_slot(impatient: Service) -> None:
    with Client(impatient.url) as client:
        client.send(b"PUT /api/v1/users/slow/bookmarks/E11 HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        eventually(lambda: impatient.metric("hms_app_requests_active") == 2)  # it, and this question
        assert impatient.get("/api/v1/codes/E11.9").status_code == 200
        answer = client.read_to_end()
        assert status_of(answer) == (408, "urn:hms:problem:slow-request")
        assert b"3 of 10 bytes" in answer


@pytest.mark.parametrize(
    "head",
    [
        LOOK_UP + b"x-long: " + b"a" * 20_000 + b"\r\n\r\n",
        LOOK_UP + b"".join(b"x-%d: %s\r\n" % (n, b"a" * 90) for n in range(200)) + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["one header", "many headers", "address"],
)
def test_a_head_that_is_too_large_is_refused(impatient: Service, head: bytes) -> None:
    with Client(impatient.url) as client:
        client.send(head)
        assert status_of(client.read_to_end()) == (431, "urn:hms:problem:head-too-large")


def test_a_header_that_never_ends_is_refused(impatient: Service) -> None:
    with Client(impatient.url) as client:
        client.send(LOOK_UP + b"x-endless: ")
        sent = 0
        while sent < 64 << 20 and client.takes(b"a" * 65_536):
            sent += 65_536
        assert sent < 8 << 20  # what the buffers of both sides hold, before the refusal is noticed
    assert impatient.get("/api/v1/codes/E11.9").status_code == 200


def test_what_is_not_http_is_told_so(impatient: Service) -> None:
    with Client(impatient.url) as client:
        client.send(b"EHLO mail.example.org\r\n\r\n")
        assert status_of(client.read_to_end()) == (400, "urn:hms:problem:not-http")


def test_answers_that_nobody_reads_hold_no_slot(impatient: Service) -> None:
    many = b"GET /api/v1/search?q=fracture&limit=100 HTTP/1.1\r\nhost: x\r\n\r\n" * 400
    with Client(impatient.url, receive_buffer_bytes=2048) as client:
        client.send(many)
        eventually(lambda: impatient.metric('hms_app_requests_abandoned_total{reason="stalled"}') == 1)
        eventually(lambda: impatient.get("/api/v1/codes/E11.9").status_code == 200, seconds=20)


def test_a_connection_too_many_takes_the_place_of_the_one_that_is_idle_for_longest(impatient: Service) -> None:
    eventually(lambda: impatient.get("/api/v1/codes/E11.9").status_code == 200)
    clients = [Client(impatient.url)]
    try:
        clients[0].send(LOOK_UP + b"\r\n")
        assert clients[0].read_answer().startswith(b"HTTP/1.1 200")
        while clients[0].is_open() and len(clients) < 40:
            clients.append(Client(impatient.url))
            clients[-1].send(LOOK_UP + b"\r\n")
            assert clients[-1].read_answer().startswith(b"HTTP/1.1 200")
        assert 8 <= len(clients) <= 10
        assert all(client.is_open() for client in clients[-4:])
    finally:
        for client in clients:
            client.socket.close()
    eventually(lambda: impatient.client.get("/api/v1/codes/E11.9").status_code == 200)
