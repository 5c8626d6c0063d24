import sys
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Address, SearchLogSettings, from_environment
from hms.bench.processes import Process
from hms.bench.service import clean_environment


def test_the_defaults_need_the_members_only() -> None:
    settings = from_environment({"HMS_POSTGRES_HOSTS": "one:5432, two:5433,[::1]:5434"})
    assert settings.postgres.hosts == (Address("one", 5432), Address("two", 5433), Address("::1", 5434))
    assert settings.redis is None
    assert settings.protection.max_concurrency == 1000
    assert settings.timeouts.other_seconds == 30


def test_everything_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    settings = from_environment(
        {
            "HMS_LISTEN_HOST": "127.0.0.1",
            "HMS_LISTEN_PORT": "9000",
            "HMS_POSTGRES_HOSTS": "one:1",
            "HMS_POSTGRES_DATABASE": "d",
            "HMS_POSTGRES_USER": "u",
            "HMS_POSTGRES_PASSWORD_FILE": str(secret),
            "HMS_POSTGRES_CA_FILE": str(secret),
            "HMS_POSTGRES_POOL_SIZE": "3",
            "HMS_POSTGRES_CONNECTIONS": "9",
            "HMS_POSTGRES_STALENESS_SECONDS": "2.5",
            "HMS_REDIS_SENTINELS": "s:26379",
            "HMS_REDIS_MASTER": "m",
            "HMS_REDIS_USER": "r",
            "HMS_REDIS_POOL_SIZE": "4",
            "HMS_REDIS_PASSWORD_FILE": str(secret),
            "HMS_SENTINEL_USER": "t",
            "HMS_SENTINEL_PASSWORD_FILE": str(secret),
            "HMS_CACHE_TTL_SECONDS": "5",
            "HMS_MAX_CONCURRENCY": "7",
            "HMS_REQUEST_TIMEOUT_SECONDS": "1.5",
            "HMS_SEARCH_LOG": "off",
            "HMS_SEARCH_LOG_KEEP_MONTHS": "3",
            "HMS_SEARCH_LOG_RETIRED": "archive",
            "HMS_MAINTENANCE_SECONDS": "60",
            "HMS_DRAIN_SECONDS": "0",
            "HMS_LOAD_WAIT_SECONDS": "9",
        }
    )
    assert settings.listen == Address("127.0.0.1", 9000)
    assert (settings.postgres.database, settings.postgres.user, settings.postgres.pool_size) == ("d", "u", 3)
    assert settings.postgres.password_file == settings.postgres.ca_file == secret
    assert (settings.postgres.connections, settings.postgres.staleness_seconds) == (9, 2.5)
    assert settings.redis is not None
    assert settings.redis.pool_size == 4
    assert (settings.redis.master, settings.redis.user, settings.redis.sentinel_user) == ("m", "r", "t")
    assert settings.redis.ttl_seconds == 5
    assert (settings.protection.max_concurrency, settings.timeouts.other_seconds) == (7, 1.5)
    assert settings.search_log == SearchLogSettings(on=False, keep_months=3, retired="archive")
    assert settings.maintenance_seconds == 60
    assert (settings.drain_seconds, settings.load_wait_seconds) == (0, 9)


BAD = {
    "HMS_LISTEN_PORT": "70000",
    "HMS_POSTGRES_HOSTS": "one",
    "HMS_POSTGRES_PASSWORD_FILE": "/nowhere/password",
    "HMS_POSTGRES_POOL_SIZE": "0",
    "HMS_POSTGRES_PASSWRD_FILE": "x",
    "HMS_REDIS_SENTINELS": "a:1,a:1",
    "HMS_REDIS_MASTER": " ",
    "HMS_SEARCH_LOG": "yes",
    "HMS_MAX_CONCURRENCY": "many",
    "HMS_REQUEST_TIMEOUT_SECONDS": "nan",
}


def test_every_bad_one_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        from_environment(BAD)
    assert sorted(problem.split("=")[0].split(" ")[0] for problem in refusal.value.problems) == sorted(BAD)
    assert "HMS_MAX_CONCURRENCY='many': must be a whole number from 1 to 100000" in refusal.value.problems


def test_redis_has_sentinels_or_hosts_and_not_both() -> None:
    one = {"HMS_POSTGRES_HOSTS": "one:1"}
    assert from_environment(one).redis is None
    alone = from_environment({**one, "HMS_REDIS_HOSTS": "r:6379"}).redis
    assert alone is not None
    assert (alone.hosts, alone.sentinels) == ((Address("r", 6379),), ())
    with pytest.raises(SettingsError, match="HMS_REDIS_HOSTS: must not be set beside HMS_REDIS_SENTINELS"):
        from_environment({**one, "HMS_REDIS_HOSTS": "r:6379", "HMS_REDIS_SENTINELS": "s:26379"})


MISSPELT = {
    "HMS_MAX_CONCURENCY": "HMS_MAX_CONCURRENCY",
    "HMS_SEARCH_TIMEOUT_SECOND": "HMS_SEARCH_TIMEOUT_SECONDS",
    "HMS_RATE_LIMIT_ANONYMUS": "HMS_RATE_LIMIT_ANONYMOUS",
    "HMS_TRUSTED_PROXYS": "HMS_TRUSTED_PROXIES",
    "HMS_DRAIN": "HMS_DRAIN_SECONDS",
    "HMS_LISTEN_PROT": "HMS_LISTEN_PORT",
    "HMS_INSTANCE": "HMS_INSTANCES",
    "HMS_ADMIN_KEY": "HMS_ADMIN_KEY_FILE",
}


def test_every_misspelt_name_is_reported_at_once_with_the_right_one() -> None:
    with pytest.raises(SettingsError) as refusal:
        from_environment({"HMS_POSTGRES_HOSTS": "one:1", **dict.fromkeys(MISSPELT, "1"), "HMS_ZZZ": "a secret"})
    wanted = [f"{wrong} is no setting: did you mean {right}?" for wrong, right in sorted(MISSPELT.items())]
    wanted.append("HMS_ZZZ is no setting: remove it; docs/app.md has all that there are")
    assert list(refusal.value.problems) == wanted
    assert "a secret" not in str(refusal.value)


def test_what_kubernetes_adds_for_services_is_let_be() -> None:
    of_services = {
        "HMS_SERVICE_HOST": "10.0.0.1",
        "HMS_PORT": "tcp://10.0.0.1:80",
        "HMS_APP_SERVICE_HOST": "10.0.0.1",
        "HMS_APP_SERVICE_PORT": "80",
        "HMS_APP_SERVICE_PORT_HTTP": "80",
        "HMS_APP_PORT": "tcp://10.0.0.1:80",
        "HMS_APP_PORT_80_TCP": "tcp://10.0.0.1:80",
        "HMS_APP_PORT_80_TCP_PROTO": "tcp",
        "HMS_APP_PORT_80_TCP_PORT": "80",
        "HMS_APP_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    from_environment({"HMS_POSTGRES_HOSTS": "one:1", **of_services, "OTHER_MAX": "1"})
    with pytest.raises(SettingsError, match="HMS_APP_PORT is no setting"):
        from_environment({"HMS_POSTGRES_HOSTS": "one:1", "HMS_APP_PORT": "8080"})


@pytest.mark.parametrize("value", ["", "host:", ":1", "host:0", "host:65536", "host:1,", "host:x", "host:１"])
def test_what_is_no_list_of_addresses_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="HMS_POSTGRES_HOSTS"):
        from_environment({"HMS_POSTGRES_HOSTS": value})


@pytest.mark.parametrize("module", ["app", "app.load"])
def test_a_process_says_all_of_them_and_exits_with_2(module: str) -> None:
    process = Process([sys.executable, "-m", module], environment=clean_environment(**BAD))
    assert process.wait() == 2
    assert f"{len(BAD)} problems" in process.output
    assert all(name in process.output for name in BAD)
    assert "Traceback" not in process.output


def test_nothing_set_names_what_is_missing() -> None:
    with pytest.raises(SettingsError, match="HMS_POSTGRES_HOSTS is missing"):
        from_environment({})
