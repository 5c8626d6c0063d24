"""Keys that open nothing: how many an address may show, and what they cost nobody else."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api_keys import new_key
from app.deadline import Deadline
from app.errors import UnavailableError
from app.middleware import wrong_keys
from app.middleware.wrong_keys import AT_ONCE, SECONDS_EACH, WrongKeys
from app.problems import Problem
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.conftest import ADMIN_KEY, AS_ADMIN

CODE = "/api/v1/codes/E11.9"
KEYS = "/api/v1/admin/keys"
RESOURCES = "/api/v1/health/resources"
TRIES = AT_ONCE + 30


@pytest.fixture(scope="module")
def guarded(postgres: Postgres, database_environment: dict[str, str], admin_key_file: Path) -> Iterator[Service]:
    del postgres
    settings = {"HMS_ADMIN_KEY_FILE": str(admin_key_file), "HMS_TRUSTED_PROXIES": "1"}
    with Service(**database_environment, **settings) as service:
        yield service.until_ready()


def ask(service: Service, path: str, address: str, key: str | None) -> httpx.Response:
    headers = {"x-forwarded-for": address, **({"x-api-key": key} if key is not None else {})}
    return service.client.get(path, headers=headers)


def looked_up(service: Service) -> int:
    """Count the keys that were looked up in the database: all of them are remembered, those that open nothing, too."""
    return int(ask(service, RESOURCES, "198.51.100.254", ADMIN_KEY).json()["kept"]["api keys"])


def tried(service: Service, path: str, address: str, keys: list[str]) -> tuple[Counter[int], int, str]:
    """Show all keys at once; return the statuses, the most that may be looked at, and the last Retry-After."""
    started = monotonic()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda key: ask(service, path, address, key), keys))
    came_back = int((monotonic() - started) / SECONDS_EACH) + 1
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.json()["type"] for answer in refused} == {"urn:hms:problem:wrong-keys"}
    return Counter(answer.status_code for answer in answers), AT_ONCE + came_back, refused[-1].headers["retry-after"]


def test_beyond_a_bound_the_made_up_keys_of_an_address_are_not_looked_up(guarded: Service) -> None:
    address = "192.0.2.1"
    made = guarded.client.post(KEYS, json={"name": "n", "tier": "premium"}, headers=AS_ADMIN).json()["key"]
    assert ask(guarded, CODE, address, made).status_code == 200
    before = looked_up(guarded)
    statuses, most, retry_after = tried(guarded, CODE, address, [new_key() for _ in range(TRIES)])
    assert set(statuses) == {401, 429}
    assert AT_ONCE <= statuses[401] <= most
    assert looked_up(guarded) - before == statuses[401]
    assert 1 <= int(retry_after) <= SECONDS_EACH
    assert guarded.metric('hms_app_requests_limited_total{limit="keys"') == statuses[429]
    assert ask(guarded, CODE, address, made).status_code == 200  # it was good just now
    assert ask(guarded, CODE, address, None).status_code == 200
    assert ask(guarded, CODE, "192.0.2.2", new_key()).status_code == 401  # another address has tries of its own


@pytest.mark.parametrize(("path", "address"), [(KEYS, "192.0.2.11"), (RESOURCES, "192.0.2.12"), (CODE, "192.0.2.13")])
def test_the_administrators_key_cannot_be_tried_without_end(guarded: Service, path: str, address: str) -> None:
    statuses, most, _ = tried(guarded, path, address, [f"guess {number}" for number in range(TRIES)])
    assert set(statuses) == {401, 429}
    assert AT_ONCE <= statuses[401] <= most
    # Beyond the bound the right one is not looked at either, or it could be told from the wrong ones.
    # A wrong one each time before it: a try may just have come back.
    keys = ("a guess", ADMIN_KEY) * 10
    assert 429 in [ask(guarded, path, address, key).status_code for key in keys][1::2]
    assert ask(guarded, path, "192.0.2.20", ADMIN_KEY).status_code == 200


def test_many_requests_at_once_with_a_good_key_that_nobody_has_seen_yet_all_pass(guarded: Service) -> None:
    made = guarded.client.post(KEYS, json={"name": "n", "tier": "premium"}, headers=AS_ADMIN).json()["key"]
    with ThreadPoolExecutor(12) as pool:
        answers = pool.map(lambda _: ask(guarded, CODE, "192.0.2.30", made), range(2 * AT_ONCE))
    assert {answer.status_code for answer in answers} == {200}


def test_a_key_shown_where_none_matters_costs_no_try(guarded: Service) -> None:
    for _ in range(2 * AT_ONCE):
        assert ask(guarded, "/api/v1/health/live", "192.0.2.40", new_key()).status_code == 200
    assert ask(guarded, CODE, "192.0.2.40", new_key()).status_code == 401


@given(st.lists(st.floats(0, 3 * SECONDS_EACH), min_size=1, max_size=200))
def test_in_no_span_of_time_are_more_keys_looked_at_than_the_bucket_has(pauses: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        clock = [1000.0]
        patched.setattr(wrong_keys, "monotonic", lambda: clock[0])
        tries = WrongKeys()
        looked_at: list[float] = []
        for pause in pauses:
            clock[0] += pause
            try:
                tries.check("address")
            except Problem as problem:
                clock[0] += int(problem.headers["retry-after"])
                tries.check("address")  # what is promised is kept
            tries.count("address")
            looked_at.append(clock[0])
    for first, begun in enumerate(looked_at):
        for last in range(first, len(looked_at)):
            assert last - first + 1 <= AT_ONCE + (looked_at[last] - begun) / SECONDS_EACH + 1e-6


def test_what_is_kept_of_addresses_is_bounded_and_forgotten_when_it_serves_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(wrong_keys, "monotonic", lambda: clock[0])
    monkeypatch.setattr(wrong_keys, "_MOST_ADDRESSES", 10)
    tries = WrongKeys()
    for number in range(100):
        tries.count(f"address {number}")
    assert len(tries) == 10
    tries.count("address 99")
    clock[0] += SECONDS_EACH
    assert tries.clean_up() == 9
    clock[0] += SECONDS_EACH
    assert tries.clean_up() == 1
    assert len(tries) == 0


def test_who_waits_for_the_turn_of_its_address_gives_up_at_its_deadline() -> None:
    async def story() -> None:
        tries = WrongKeys()
        async with tries.turn("address", Deadline(seconds=60)):
            async with tries.turn("another", Deadline(seconds=60)):
                pass
            with pytest.raises(UnavailableError, match="looked up"):
                async with tries.turn("address", Deadline(seconds=0.01)):
                    pass
        async with tries.turn("address", Deadline(seconds=60)):
            pass

    asyncio.run(story())
