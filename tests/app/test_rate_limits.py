"""Limits as clients meet them: three instances, one Redis, and what happens while there is none."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path
from time import monotonic

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.routes import KEYLESS_PATHS
from app.api_keys import new_key
from app.middleware.authenticate import client_address
from hms.bench.processes import eventually
from hms.bench.servers import Postgres, Redis
from hms.bench.service import Service
from tests.app.conftest import AS_ADMIN

LIMITED = {"HMS_RATE_LIMITS": "on", "HMS_TRUSTED_PROXIES": "1"}
PATH = "/api/v1/codes/E11.9"


@contextmanager
def instances(count: int, environment: dict[str, str], redis: Redis, **settings: str) -> Iterator[list[Service]]:
    """Start services that share their limits, each ready and with Redis."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(Service(**environment, **redis.environment, **LIMITED, **settings))
            for _ in range(count)
        ]
        for each in started:
            each.until_ready()
            eventually(lambda each=each: each.metric("hms_app_cache_up") == 1)  # type: ignore[misc] # bound at once
        yield started


@pytest.fixture(scope="module")
def three(
    postgres: Postgres, redis: Redis, database_environment: dict[str, str], admin_key_file: Path
) -> Iterator[list[Service]]:
    del postgres
    settings = {
        "HMS_RATE_LIMIT_ANONYMOUS": "60,150,1000",  # a bucket so large that the windows decide
        "HMS_RATE_LIMIT_AUTHENTICATED": "60,100000,10",
        "HMS_ADMIN_KEY_FILE": str(admin_key_file),
    }
    with instances(3, database_environment, redis, **settings) as started:
        yield started


def ask(service: Service, client: str) -> httpx.Response:
    return service.client.get(PATH, headers={"x-forwarded-for": client})


def answered(
    services: list[Service], attempt: Callable[[int], list[httpx.Response]], *, most_alone: int
) -> tuple[list[httpx.Response], int]:
    """Return the answers of the first attempt of ten with at most so many decisions without Redis, and their number.

    What Redis does not answer within a tenth of a second, on a busy machine too, an instance decides alone, and Redis
    may count it still. An attempt is given its number, so that its client is new.
    """

    def alone() -> float:
        return sum(each.metric('hms_app_limit_decisions_total{by="alone"}') for each in services)

    for number in range(10):
        before = alone()
        answers = attempt(number)
        without_redis = round(alone() - before)
        if without_redis <= most_alone:
            return answers, without_redis
    raise AssertionError(f"Redis did not take part in ten attempts: each had more than {most_alone} calls without it")


def passes(answers: list[httpx.Response]) -> int:
    return sum(answer.status_code == 200 for answer in answers)


def test_over_three_instances_asked_at_once_exactly_as_many_pass_as_are_allowed(three: list[Service]) -> None:
    def attempt(number: int) -> list[httpx.Response]:
        with ThreadPoolExecutor(6) as pool:
            return list(pool.map(lambda n: ask(three[n % 3], f"192.0.2.1{number}"), range(180)))

    answers, _ = answered(three, attempt, most_alone=0)  # an attempt in which Redis decided on all of them
    assert passes(answers) == 60


def test_a_refusal_says_which_limit_and_when_to_come_again(three: list[Service]) -> None:
    answers, _ = answered(
        three, lambda number: [ask(three[n % 3], f"192.0.2.2{number}") for n in range(61)], most_alone=0
    )
    first, last = answers[0], answers[-1]
    policy = '"burst";q=1000;w=1000, "minute";q=60;w=60, "hour";q=150;w=3600'
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {policy}
    assert first.headers["ratelimit"].startswith('"burst";r=999;t=1, "minute";r=59;t=6')
    assert '"minute";r=0;t=' in last.headers["ratelimit"]
    assert last.status_code == 429
    assert 0 < int(last.headers["retry-after"]) <= 62
    body = last.json()
    assert body["type"] == "urn:hms:problem:rate-limited"
    assert "anonymous allows 60 requests a minute" in body["detail"]
    assert ask(three[0], "192.0.2.3").status_code == 200  # another client has limits of its own


def test_health_and_metrics_are_not_limited(three: list[Service]) -> None:
    for path in sorted(KEYLESS_PATHS):
        answers = [three[0].client.get(path, headers={"x-forwarded-for": "192.0.2.4"}) for _ in range(70)]
        assert {answer.status_code for answer in answers} == {200}
        assert "ratelimit" not in answers[0].headers


def test_the_page_and_the_description_are_limited_as_everything_else_is(three: list[Service]) -> None:
    for path in ("/", "/api/v1/openapi.json"):
        assert "ratelimit" in three[0].client.get(path, headers={"x-forwarded-for": "192.0.2.5"}).headers


def test_a_key_has_the_limits_of_its_tier_and_a_burst_is_bounded(three: list[Service]) -> None:
    took: list[float] = []

    def attempt(number: int) -> list[httpx.Response]:
        body = {"name": f"burst {number}", "tier": "authenticated"}
        made = three[0].client.post("/api/v1/admin/keys", json=body, headers=AS_ADMIN).json()["key"]
        started = monotonic()
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda n: three[n % 3].client.get(PATH, headers={"x-api-key": made}), range(40)))
        took.append(monotonic() - started)
        return answers

    answers, without_redis = answered(three, attempt, most_alone=6)
    assert 10 - without_redis <= passes(answers) <= 10 + without_redis + took[-1] + 1  # one request a second comes back
    assert "authenticated allows 10 requests at once" in next(
        answer.json()["detail"] for answer in answers if answer.status_code == 429
    )


def test_keys_cannot_be_tried_for_free(three: list[Service]) -> None:
    def attempt(number: int) -> list[httpx.Response]:
        headers = {"x-forwarded-for": f"192.0.2.4{number}"}
        return [three[n % 3].client.get(PATH, headers={**headers, "x-api-key": new_key()}) for n in range(62)]

    answers, _ = answered(three, attempt, most_alone=0)
    assert Counter(answer.status_code for answer in answers) == {401: 60, 429: 2}


@pytest.mark.fault
def test_without_redis_each_instance_lets_its_share_through_and_no_request_fails(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    del postgres
    redis = Redis()
    try:
        settings = {"HMS_RATE_LIMIT_ANONYMOUS": "60,1000,30", "HMS_INSTANCES": "3"}
        with instances(1, database_environment, redis, **settings) as (service,):
            assert ask(service, "192.0.2.30").status_code == 200
            redis.kill()
            answers = [ask(service, "192.0.2.31") for _ in range(40)]
            statuses = Counter(answer.status_code for answer in answers)
            assert set(statuses) == {200, 429}  # neither open, nor closed, nor broken
            assert 10 <= statuses[200] <= 20  # a third of the bucket, and what it gained meanwhile; never above 60 / 3
            assert service.metric('hms_app_limit_decisions_total{by="alone"}') == 40
            redis.start()
            eventually(lambda: service.metric("hms_app_cache_up") == 1)
            assert ask(service, "192.0.2.31").status_code == 200
            assert service.metric('hms_app_limit_decisions_total{by="shared"}') >= 2
    finally:
        redis.remove()


ADDRESSES = st.ip_addresses(v=4).map(str)


@given(ADDRESSES, st.lists(st.text(st.characters(exclude_characters=",")), max_size=4), st.lists(ADDRESSES, min_size=1))
def test_what_a_client_invents_never_changes_whom_it_is_taken_for(
    peer: str, invented: list[str], added: list[str]
) -> None:
    true = client_address(peer, added, trusted_proxies=len(added))
    assert client_address(peer, [*invented, *added], trusted_proxies=len(added)) == true == added[0]


@pytest.mark.parametrize(
    ("hops", "proxies", "client"),
    [
        (["198.51.100.1"], 0, "203.0.113.9"),
        ([], 1, "203.0.113.9"),
        (["198.51.100.1"], 2, "203.0.113.9"),
        ([" 198.51.100.1 "], 1, "198.51.100.1"),
        (["198.51.100.1:4711"], 1, "198.51.100.1"),
        (["not an address"], 1, "203.0.113.9"),
        (["[2001:db8:1:2:3::4]:443"], 1, "2001:db8:1:2::/64"),
        (["2001:db8:1:2:ffff::1"], 1, "2001:db8:1:2::/64"),
        (["::ffff:198.51.100.7"], 1, "198.51.100.7"),
    ],
)
def test_the_address_of_a_client(hops: list[str], proxies: int, client: str) -> None:
    assert client_address("203.0.113.9", hops, trusted_proxies=proxies) == client


def test_an_ipv6_client_is_its_network() -> None:
    network = ip_network("2001:db8:aa:bb::/64")
    assert {client_address(str(network[n]), [], trusted_proxies=0) for n in (1, 2, 3**30)} == {str(network)}
