"""An update of one instance after the other, under load, as a client sees it through a balancer: it does not see it."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from hms.bench.processes import eventually
from hms.bench.servers import Postgres, Redis
from hms.bench.service import Service
from tests.app.balancer import Balancer

CLIENTS = 6


@contextmanager
def load(url: str) -> Iterator[list[int]]:
    """Ask from each of the clients without a pause, each over a connection that it keeps; yield the statuses.

    No client asks twice: what fails, fails the test.
    """
    statuses: list[int] = []
    stop = threading.Event()
    numbers = itertools.count()

    def run() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while not stop.is_set():
                number = next(numbers)
                if number % 3 == 0:
                    answer = client.put(f"/api/v1/users/rolling-{number}/bookmarks/E11.9")
                elif number % 3 == 1:
                    answer = client.get("/api/v1/search", params={"q": "heart failure"})
                else:
                    answer = client.get("/api/v1/codes/E11.9")
                statuses.append(answer.status_code)

    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(run) for _ in range(CLIENTS)]
        try:
            yield statuses
        finally:
            stop.set()
        for client in running:
            client.result()


def until_more(statuses: list[int]) -> None:
    enough = len(statuses) + 100
    eventually(lambda: len(statuses) > enough)


@pytest.fixture
def update(
    postgres: Postgres, redis: Redis, database_environment: dict[str, str]
) -> Iterator[tuple[Balancer, Callable[[], Service]]]:
    """Yield a balancer without backends, and what starts one more behind it."""
    del postgres
    environment = {**database_environment, **redis.environment, "HMS_DRAIN_SECONDS": "0.5"}
    with ExitStack() as stack, Balancer() as balancer:

        def start() -> Service:
            service = stack.enter_context(Service(**environment)).until_ready()
            balancer.backends.append(service.url)
            eventually(lambda: service.url in balancer.ready)
            return service

        yield balancer, start


def test_a_rolling_update_under_load_fails_no_request(update: tuple[Balancer, Callable[[], Service]]) -> None:
    balancer, start = update
    old = [start(), start()]
    with load(balancer.url) as statuses:
        for service in old:
            until_more(statuses)
            connections = balancer.connections
            assert service.stop() == 0
            balancer.backends.remove(service.url)
            start()
            assert balancer.connections > connections  # its clients left for the other one
        until_more(statuses)
    assert set(statuses) <= {200, 201}


def test_an_instance_that_is_killed_does_fail_requests(update: tuple[Balancer, Callable[[], Service]]) -> None:
    """The test above can fail: what makes the difference is how the service stops."""
    balancer, start = update
    start()
    killed = start()

    def kill_it() -> None:
        with load(balancer.url) as statuses:
            until_more(statuses)
            killed.process.kill()
            until_more(statuses)

    with pytest.raises(httpx.TransportError):
        kill_it()
