"""What clients see while Redis' primary, its replica or its Sentinels die, hang and come back in the middle."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from hms.bench.processes import eventually
from hms.bench.redis_group import RedisGroup
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.releases import small, store_and_switch
from tests.app.test_faults import traffic

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def group() -> Iterator[RedisGroup]:
    made = RedisGroup(replicas=1)
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def cached(empty_postgres: Postgres, group: RedisGroup, database_environment: dict[str, str]) -> Iterator[Service]:
    empty_postgres.create(DATABASE)
    store_and_switch(empty_postgres, DATABASE, small("few", *(f"number {number}" for number in range(10))))
    environment = {**database_environment, **group.environment, "HMS_POSTGRES_DATABASE": DATABASE}
    with Service(**environment) as service:
        service.until_ready()
        yield service


@pytest.fixture(autouse=True)
def whole(cached: Service, group: RedisGroup) -> None:
    """Begin each test with a group that is whole and a service that sees it so."""
    eventually(group.is_whole)
    primary = group.primary()
    for number in range(2):
        until_seen(cached, group, number, "primary" if number == primary else "replica")
    eventually(lambda: cached.metric("hms_app_cache_up") == 1)


def until_seen(service: Service, group: RedisGroup, number: int, role: str) -> None:
    line = f'hms_app_redis_node{{node="127.0.0.1:{group.ports[number]}",role="{role}"}}'
    eventually(lambda: service.metric(line) == 1)


DATABASE = "few"
NAMES = [f"/api/v1/{ask}" for n in range(10) for ask in (f"codes/A0{n}", f"search?q=number+{n}")]


class Load:
    """Look-ups, some of which the cache has and some not, from four clients at once; every answer must be good."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._context = traffic(self._ask)
        self._answers: list[Any] = []

    def _ask(self, number: int) -> Any:
        return self._service.get(NAMES[number % len(NAMES)])

    def __enter__(self) -> "Load":
        self._answers = self._context.__enter__()
        self.goes_on()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.goes_on()
        self._context.__exit__(*raised)
        assert {answer.status_code for answer in self._answers} == {200}

    def goes_on(self) -> None:
        """Wait for answers that were begun after this call."""
        before = len(self._answers)
        eventually(lambda: len(self._answers) >= before + 60)

    def is_cached_again(self) -> None:
        """Wait until answers come from the cache."""
        for path in itertools.cycle(NAMES):
            if self._service.get(path).headers["cache-status"] == "hms; hit":
                return


def test_the_death_of_the_primary_costs_no_answer_and_another_one_is_found(cached: Service, group: RedisGroup) -> None:
    primary = group.primary()
    with Load(cached) as load:
        group.kill(primary)
        load.goes_on()
        until_seen(cached, group, 1 - primary, "primary")
        eventually(lambda: cached.metric("hms_app_cache_up") == 1)
        load.is_cached_again()
        group.restart(primary)
        until_seen(cached, group, primary, "replica")


def test_a_primary_that_hangs_is_left_and_comes_back_as_a_replica(cached: Service, group: RedisGroup) -> None:
    primary = group.primary()
    with Load(cached) as load:
        group.nodes[primary].freeze()
        try:
            until_seen(cached, group, primary, "down")
            load.goes_on()
            until_seen(cached, group, 1 - primary, "primary")
            load.is_cached_again()
        finally:
            group.nodes[primary].thaw()
        until_seen(cached, group, primary, "replica")


def test_a_replica_that_dies_or_hangs_costs_no_answer(cached: Service, group: RedisGroup) -> None:
    replica = 1 - group.primary()
    with Load(cached) as load:
        group.nodes[replica].freeze()
        try:
            until_seen(cached, group, replica, "down")
            load.is_cached_again()
        finally:
            group.nodes[replica].thaw()
        until_seen(cached, group, replica, "replica")
        group.kill(replica)
        until_seen(cached, group, replica, "down")
        load.is_cached_again()
        group.restart(replica)
        until_seen(cached, group, replica, "replica")


def test_without_any_sentinel_the_nodes_that_are_known_are_used(cached: Service, group: RedisGroup) -> None:
    with Load(cached) as load:
        for sentinel in group.sentinels:
            sentinel.freeze()
        try:
            load.goes_on()
            assert cached.metric("hms_app_cache_up") == 1
            load.is_cached_again()
        finally:
            for sentinel in group.sentinels:
                sentinel.thaw()
        group.sentinels[0].kill()
        load.goes_on()
        group.restart_sentinel(0)


def test_while_all_nodes_hang_the_breakers_are_open_and_no_request_asks(cached: Service, group: RedisGroup) -> None:
    def is_open(number: int) -> bool:
        line = f'hms_app_redis_breaker{{node="127.0.0.1:{group.ports[number]}",state="closed"}}'
        return cached.metric(line) == 0

    for sentinel in group.sentinels:
        sentinel.freeze()  # or they would promote whoever is thawed first
    with Load(cached) as load:
        for node in group.nodes:
            node.freeze()
        try:
            eventually(lambda: is_open(0) and is_open(1))
            load.goes_on()
            assert cached.metric("hms_app_cache_up") == 0
            assert cached.metric('hms_app_redis_connections{node="127.0.0.1') > 0  # the limit is told
        finally:
            for process in (*group.nodes, *group.sentinels):
                process.thaw()
        load.is_cached_again()
