"""Redis makes answers quicker and is never needed for one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.services.tags import PREFIX
from hms.bench.processes import eventually
from hms.bench.servers import Postgres, Redis
from hms.bench.service import Service
from tests.app.conftest import AS_ADMIN

pytestmark = pytest.mark.fault


@pytest.fixture(autouse=True)
def mended(service: Service, redis: Redis) -> Iterator[None]:
    """Begin and end each test with a cache that is used."""
    yield
    eventually(lambda: service.metric("hms_app_cache_up") == 1)
    del redis


def hit(answer: httpx.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return str(answer.headers["cache-status"]) == "hms; hit"


def until_hit(service: Service, path: str) -> httpx.Response:
    """Ask until the cache answers: on a busy machine it may be given up for a moment, as it should."""
    eventually(lambda: hit(service.get(path)))
    return service.get(path)


def test_what_was_answered_once_comes_from_the_cache_with_the_same_bytes(service: Service) -> None:
    for path in ("/api/v1/codes/J45", "/api/v1/search?q=asthma+severe&limit=3"):
        first = service.get(path)
        assert not hit(first)
        assert until_hit(service, path).content == first.content


def test_ways_to_write_the_same_share_one_entry(service: Service, redis: Redis) -> None:
    until_hit(service, "/api/v1/codes/J45.2")
    until_hit(service, "/api/v1/codes/j452")
    assert sum(b"J45.2" in key for key in redis.stored()) == 1


KEPT = {"code": "/api/v1/codes/J44", "search": "/api/v1/search?q=asthma", "autocomplete": "/api/v1/autocomplete?q=asth"}
BY_TAG = {
    "codes": {"code"},
    "search": {"search", "autocomplete"},
    "release": set(KEPT),
    "everything": set(KEPT),
}


@pytest.mark.parametrize("tag", BY_TAG)
def test_each_tag_takes_back_what_depends_on_it_and_nothing_else(service: Service, tag: str) -> None:
    for path in KEPT.values():
        until_hit(service, path)
    taken = service.client.delete("/api/v1/admin/answers", params={"tag": tag}, headers=AS_ADMIN)
    assert taken.json() == {"confirmed": True}
    assert {name for name, path in KEPT.items() if not hit(service.get(path))} == BY_TAG[tag]


def test_the_tags_that_are_described_are_those_that_answers_carry(service: Service, redis: Redis) -> None:
    redis.clear()
    for path in (*KEPT.values(), "/api/v1/statistics/chapters"):
        assert service.get(path).status_code == 200
    for path in KEPT.values():
        until_hit(service, path)
    carried = {key.decode().removeprefix(PREFIX) for key in redis.stored() if key.startswith(PREFIX.encode())}
    described = service.get("/api/v1/openapi.json").json()
    parameters = described["paths"]["/api/v1/admin/answers"]["delete"]["parameters"]
    assert next(each["schema"] for each in parameters if each["name"] == "tag") == {"$ref": "#/components/schemas/Tag"}
    assert carried == set(described["components"]["schemas"]["Tag"]["enum"]) == set(BY_TAG)


def test_the_administrator_takes_back_what_is_kept(service: Service) -> None:
    code, search = "/api/v1/codes/J47", "/api/v1/search?q=status+asthmaticus"
    for path in (code, search):
        until_hit(service, path)

    def take_back(**asked: str) -> httpx.Response:
        return service.client.delete("/api/v1/admin/answers", params=asked, headers=AS_ADMIN)

    assert take_back(tag="search").json() == {"confirmed": True}
    assert not hit(service.get(search))
    assert hit(service.get(code))
    until_hit(service, search)
    assert take_back(pattern="search:*").json()["removed"] >= 1
    assert not hit(service.get(search))
    assert hit(service.get(code))
    assert take_back(tag="release").json() == {"confirmed": True}  # which both depend on
    assert not hit(service.get(code))
    assert take_back().status_code == take_back(tag="a", pattern="b").status_code == 400
    for no_tag in ("No Tag", "statistics", "autocomplete", "codes:J47"):  # or it would be confirmed, and mean nothing
        assert take_back(tag=no_tag).json()["errors"] == [
            {"field": "tag", "detail": "is the tag of no answer; there are: codes, search, release, everything"}
        ]
    assert service.client.delete("/api/v1/admin/answers", params={"tag": "search"}).status_code == 401


def test_a_dead_redis_costs_no_answer(service: Service, redis: Redis) -> None:
    assert not hit(service.get("/api/v1/codes/K35"))
    redis.kill()
    try:
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: service.get("/api/v1/codes/K35"), range(100)))
        assert not any(hit(answer) for answer in answers)
        assert service.put_bookmark("dead-redis", "K35").status_code == 201
        assert service.get("/api/v1/health/ready").status_code == 200
    finally:
        redis.start()
    eventually(lambda: service.metric("hms_app_cache_up") == 1)
    until_hit(service, "/api/v1/codes/K35")


def test_a_redis_that_hangs_is_given_up_after_one_wait(service: Service, redis: Redis) -> None:
    assert service.get("/api/v1/codes/K36").status_code == 200
    redis.freeze()
    try:
        answers = [service.get("/api/v1/codes/K36") for _ in range(20)]
        assert not any(hit(answer) for answer in answers)
        assert service.metric("hms_app_cache_up") == 0
    finally:
        redis.thaw()
    until_hit(service, "/api/v1/codes/K36")


def test_it_starts_without_redis_and_uses_it_when_it_comes(
    postgres: Postgres, redis: Redis, database_environment: dict[str, str]
) -> None:
    del postgres
    redis.kill()
    with Service(**database_environment, **redis.environment) as late:
        try:
            late.until_ready()
            assert not hit(late.get("/api/v1/codes/K37"))
        finally:
            redis.start()
        eventually(lambda: late.metric("hms_app_cache_up") == 1)
        until_hit(late, "/api/v1/codes/K37")
