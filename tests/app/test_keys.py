"""API keys: made, used, expired, revoked; and the administrator, who makes them."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.api_keys import ApiKey, digest_of, has_form, id_of, new_key
from app.deadline import Deadline
from app.errors import UnavailableError
from app.limits import Tier
from app.services import key_ring
from app.services.key_ring import KeyRing
from hms.bench.processes import Process, eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service, clean_environment
from tests.app.conftest import AS_ADMIN

KEYS = "/api/v1/admin/keys"


def make(service: Service, *, tier: str = "premium", **more: object) -> dict[str, str]:
    answer = service.client.post(KEYS, json={"name": "test", "tier": tier, **more}, headers=AS_ADMIN)
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


def with_key(service: Service, key: str, path: str = "/api/v1/codes/E11") -> httpx.Response:
    return service.client.get(path, headers={"x-api-key": key})


def test_a_key_opens_until_it_is_revoked_and_only_its_digest_is_kept(service: Service, postgres: Postgres) -> None:
    made = make(service)
    assert has_form(made["key"])
    assert made["id"] == id_of(digest_of(made["key"]))
    assert with_key(service, made["key"]).status_code == 200
    row = postgres.value(f"SELECT to_jsonb(api_keys)::text FROM api_keys WHERE id = '{made['id']}'")
    assert made["key"].removeprefix("hms_") not in str(row)
    revoked = service.client.delete(f"{KEYS}/{made['id']}", headers=AS_ADMIN)
    assert revoked.json()["revoked_at"] is not None
    eventually(lambda: with_key(service, made["key"]).status_code == 401, seconds=key_ring.FRESH_SECONDS + 60)
    assert with_key(service, made["key"]).json()["type"] == "urn:hms:problem:unauthorised"
    again = service.client.delete(f"{KEYS}/{made['id']}", headers=AS_ADMIN)
    assert again.json() == revoked.json()


@pytest.mark.parametrize("path", ["/api/v1/health/live", "/api/v1/health/ready", "/metrics"])
def test_health_and_figures_are_open_whatever_key_is_shown(service: Service, path: str) -> None:
    for key in (make(service)["key"], "hms_unknown"):
        assert with_key(service, key, path).status_code == 200


def test_keys_are_listed_in_pages_without_the_keys(service: Service) -> None:
    made = {make(service)["id"] for _ in range(3)}
    found: dict[str, dict[str, object]] = {}
    after = ""
    while True:
        page = service.client.get(KEYS, params={"limit": 2, **({"after": after} if after else {})}, headers=AS_ADMIN)
        found |= {key["id"]: key for key in page.json()["keys"]}
        if (after := page.json()["next"]) is None:
            break
    assert made <= set(found)
    assert all("key" not in key for key in found.values())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "truncated"),
        (b"{}", "name"),
        (b'{"name": "n", "tier": "anonymous"}', "tier"),
        (b'{"name": "", "tier": "premium"}', "name"),
        (b'{"name": "n", "tier": "premium", "expires_in_days": 0}', "expires_in_days"),
        (b'{"name": "n", "tier": "premium", "tire": 1}', "tire"),
    ],
)
def test_a_bad_wish_is_refused_by_name(service: Service, body: bytes, says: str) -> None:
    answer = service.client.post(KEYS, content=body, headers=AS_ADMIN)
    assert answer.status_code == 400
    assert says in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("path", [KEYS, "/api/v1/health/resources"])
def test_only_the_administrator_administrates(service: Service, path: str) -> None:
    premium, enterprise = make(service)["key"], make(service, tier="enterprise")["key"]
    assert service.get(path).status_code == 401
    assert service.get(path).headers["www-authenticate"].startswith("ApiKey")
    assert with_key(service, "x" * 50, path).status_code == 401
    assert with_key(service, new_key(), path).status_code == 401
    for key in (premium, enterprise):
        assert with_key(service, key, path).status_code in {401, 403}
    assert service.client.get(path, headers=AS_ADMIN).status_code == 200
    assert service.client.get(path, headers=[*AS_ADMIN.items(), *AS_ADMIN.items()]).status_code == 401


def test_without_an_admin_key_nobody_is_the_administrator(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    del postgres
    with Service(**database_environment) as service:
        for key in ("", "None", "x"):
            assert with_key(service, key, KEYS).status_code == 401


def run_keys(environment: dict[str, str], *arguments: str) -> Process:
    process = Process([sys.executable, "-m", "app.keys", *arguments], environment=clean_environment(**environment))
    process.wait()
    return process


def test_the_command_makes_lists_and_revokes(
    service: Service, database_environment: dict[str, str], tmp_path: Path
) -> None:
    made = run_keys(database_environment, "make", "--name", "by hand", "--tier", "enterprise", "--days", "1")
    key = made.lines[-1].strip()
    assert with_key(service, key).status_code == 200
    assert id_of(digest_of(key)) in run_keys(database_environment, "list").output
    given = tmp_path / "key"
    given.write_text(new_key() + "\n")
    for _ in range(2):  # a second time changes nothing
        kept = run_keys(database_environment, "keep", "--name", "load", "--tier", "internal", "--key-file", str(given))
        assert kept.wait() == 0, kept.output
    assert given.read_text().strip() not in kept.output
    assert with_key(service, given.read_text().strip()).status_code == 200
    old = given.read_text().strip()
    given.write_text(new_key() + "\n")
    exchanged = run_keys(database_environment, "keep", "--name", "load", "--tier", "internal", "--key-file", str(given))
    assert exchanged.wait() == 0, exchanged.output
    assert with_key(service, given.read_text().strip()).status_code == 200
    eventually(lambda: with_key(service, old).status_code == 401)
    key_id = id_of(digest_of(key))
    assert run_keys(database_environment, "revoke", key_id).wait() == 0
    assert run_keys(database_environment, "revoke", "0" * 16).wait() == 1


@pytest.mark.parametrize("days", ["-1", "0", "36501", "9" * 30, "1.5", "soon"])
def test_a_key_that_would_expire_before_it_is_made_or_never_is_refused(
    database_environment: dict[str, str], days: str
) -> None:
    refused = run_keys(database_environment, "make", "--name", "n", "--tier", "premium", f"--days={days}")
    assert refused.wait() == 2
    assert f"argument --days: '{days}' must be a whole number of days from 1 to 36,500" in refused.output


class Database:
    """A database of keys that can be away, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: dict[bytes, ApiKey] = {}
        self.asked = 0
        self.away = False
        self.release = asyncio.Event()
        self.release.set()

    async def find(self, digest: bytes, deadline: Deadline) -> ApiKey | None:
        self.asked += 1
        await self.release.wait()
        if self.away or deadline.passed:
            raise UnavailableError("away")
        return self.keys.get(digest)

    def add(self, *, expires_at: datetime | None = None) -> str:
        key = new_key()
        digest = digest_of(key)
        self.keys[digest] = ApiKey(id_of(digest), "n", Tier.PREMIUM, datetime.now(UTC), expires_at, None)
        return key


def test_many_who_show_one_key_at_once_ask_once() -> None:
    async def story() -> None:
        database = Database()
        key = database.add()
        ring = KeyRing(database.find)
        database.release.clear()
        asks = [asyncio.create_task(ring.identify(key, Deadline(seconds=60))) for _ in range(50)]
        await asyncio.sleep(0)
        asks[0].cancel()  # who leaves takes the answer from nobody else
        database.release.set()
        answers = await asyncio.gather(*asks, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert all(isinstance(answer, ApiKey) for answer in answers[1:])
        assert database.asked == 1

    asyncio.run(story())


def test_a_key_expires_at_its_time_though_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "FRESH_SECONDS", 60.0)  # all that time the database is not asked again

    async def story() -> None:
        database = Database()
        ring = KeyRing(database.find)
        assert await ring.identify(database.add(expires_at=datetime.now(UTC)), Deadline(seconds=60)) is None
        expires_at = datetime.now(UTC) + timedelta(seconds=1)
        key = database.add(expires_at=expires_at)
        good = 0
        asked_at = datetime.now(UTC)
        while await ring.identify(key, Deadline(seconds=60)) is not None:
            assert asked_at < expires_at
            good += 1
            await asyncio.sleep(0.01)
            asked_at = datetime.now(UTC)
        assert datetime.now(UTC) >= expires_at
        assert good > 0
        assert database.asked == 2  # once for each key

    asyncio.run(story())


def test_a_key_is_good_before_the_moment_at_which_it_expires_and_not_in_it() -> None:
    now = datetime.now(UTC)
    key = ApiKey("i", "n", Tier.PREMIUM, now, now + timedelta(seconds=1), None)
    assert key.is_good(now)
    assert not key.is_good(now + timedelta(seconds=1))


def test_while_the_database_is_away_known_keys_stay_good_and_unknown_ones_cannot_be_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(key_ring, "monotonic", lambda: clock[0])

    async def story() -> None:
        database = Database()
        known, unknown = database.add(), database.add()
        ring = KeyRing(database.find)
        assert await ring.identify(known, Deadline(seconds=1))
        database.away = True
        clock[0] += key_ring.FRESH_SECONDS
        for _ in range(5):
            assert await ring.identify(known, Deadline(seconds=1))
        assert database.asked == 2  # and not once more for every request
        with pytest.raises(UnavailableError):
            await ring.identify(unknown, Deadline(seconds=1))
        clock[0] += key_ring.STALE_SECONDS
        with pytest.raises(UnavailableError):
            await ring.identify(known, Deadline(seconds=1))
        assert ring.clean_up() == 1
        assert len(ring) == 0

    asyncio.run(story())


def test_made_up_keys_are_forgotten_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "_MOST_KEYS", 10)

    async def story() -> None:
        database = Database()
        ring = KeyRing(database.find)
        for _ in range(30):
            assert await ring.identify(new_key(), Deadline(seconds=1)) is None
        assert len(ring) == 10
        assert await ring.identify("of no form", Deadline(seconds=1)) is None
        assert database.asked == 30

    asyncio.run(story())
