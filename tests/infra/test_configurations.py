"""The texts that the engines are started with."""

import re

import pytest
import yaml

from hms.paths import project_root
from infra.patroni_config import host_based_access, patroni_config, render, server_settings
from infra.redis_config import patience_seconds, redis_conf, redis_settings, sentinel_conf, sentinel_settings
from tests.infra.recording import recorded
from tests.stack.settings import spec


class TestPatroni:
    def test_the_text_is_the_configuration_and_the_same_each_time(self) -> None:
        made = spec().postgres
        assert yaml.safe_load(render(made)) == patroni_config(made)
        assert render(made) == render(spec().postgres)

    def test_no_password_is_in_it(self) -> None:
        assert "password:" not in render(spec().postgres)

    @pytest.mark.parametrize(("declared", "told"), [("quorum", "quorum"), ("on", True), ("off", False)])
    def test_the_mode_of_commit_is_told_in_patronis_words(self, declared: str, told: object) -> None:
        made = spec(postgresSynchronousMode=declared, witness="on" if declared == "quorum" else "off").postgres
        assert patroni_config(made)["bootstrap"]["dcs"]["synchronous_mode"] == told

    def test_a_standby_asks_at_the_latch_only_where_a_witness_may_set_it(self) -> None:
        told = {"restore_command": "/opt/hms/latch-wait"}
        assert patroni_config(spec().postgres)["postgresql"]["recovery_conf"] == told
        assert "recovery_conf" not in patroni_config(spec(witness="off").postgres)["postgresql"]

    def test_the_timers_are_those_declared(self) -> None:
        dcs = patroni_config(spec(patroniTtlSeconds=30, patroniLoopWaitSeconds=2).postgres)["bootstrap"]["dcs"]
        assert (dcs["ttl"], dcs["loop_wait"], dcs["retry_timeout"], dcs["primary_start_timeout"]) == (30, 2, 5, 0)
        assert dcs["failsafe_mode"] is True

    def test_nobody_enters_without_tls_or_without_a_password_but_the_container_itself(self) -> None:
        lines = [line.split() for line in host_based_access()]
        assert all(line[0] in ("local", "hostssl") for line in lines)
        assert {line[-1] for line in lines} == {"scram-sha-256", "peer"}
        assert [line for line in lines if line[-1] == "peer"] == [["local", "all", "postgres", "peer"]]

    def test_what_patroni_takes_from_the_cluster_alone_is_not_in_a_members_own_settings(self) -> None:
        config = patroni_config(spec().postgres)
        agreed = config["bootstrap"]["dcs"]["postgresql"]["parameters"]
        own = config["postgresql"]["parameters"]
        assert not agreed.keys() & own.keys()
        assert {**agreed, **own}.items() >= server_settings(spec().postgres).items()

    def test_the_wal_that_a_slot_may_keep_fits_its_volume(self) -> None:
        made = spec(postgresWalStorage="1Gi").postgres
        settings = server_settings(made)
        kept = int(settings["max_slot_wal_keep_size"].removesuffix("MB")) + int(
            settings["max_wal_size"].removesuffix("MB")
        )
        assert kept * 1024**2 < made.wal_storage_bytes

    def test_a_new_replica_puts_its_wal_on_the_wal_volume_as_the_first_member_does(self) -> None:
        config = patroni_config(spec().postgres)
        first = [
            option["waldir"]
            for option in config["bootstrap"]["initdb"]
            if isinstance(option, dict) and "waldir" in option
        ]
        later = [option["waldir"] for option in config["postgresql"]["basebackup"] if "waldir" in option]
        assert first == later == ["/wal/pg_wal"]


class TestRedis:
    def test_a_node_is_told_what_the_inventory_declares(self) -> None:
        told = dict(line.split(" ", 1) for line in redis_conf(spec().redis).splitlines() if line)
        assert told.items() >= redis_settings(spec().redis).items()

    def test_it_evicts_only_what_has_a_time_to_live_and_keeps_what_it_acknowledged(self) -> None:
        settings = redis_settings(spec().redis)
        assert settings["maxmemory-policy"] == "volatile-lru"
        assert settings["appendonly"] == "yes"
        assert settings["min-replicas-to-write"] == "1"

    def test_sentinel_never_waits_for_a_name(self) -> None:
        assert "sentinel resolve-hostnames no" in sentinel_conf()
        assert "sentinel announce-hostnames no" in sentinel_conf()

    def test_sentinels_timers_are_those_declared(self) -> None:
        settings = sentinel_settings(spec(sentinelDownAfterMs=750).sentinel)
        assert settings == {"down-after-milliseconds": "750", "failover-timeout": "3000", "parallel-syncs": "1"}

    def test_a_reborn_primary_waits_longer_than_two_elections_take(self) -> None:
        made = spec().sentinel
        assert patience_seconds(made) * 1000 > made.down_after_ms + 2 * made.failover_timeout_ms


def test_the_scripts_read_the_files_that_the_program_writes() -> None:
    """The images' scripts and the program agree by file names alone; a rename in one must not pass."""
    image = project_root() / "images" / "redis"
    scripts = "".join((image / name).read_text() for name in ("lib.sh", "redis-start", "sentinel-start"))
    read = set(re.findall(r'"?\$config/([a-z.-]+)', scripts))
    assert read == set(recorded(spec()).one("ConfigMap", "redis-config")["data"])
    secrets = set(re.findall(r"\b(?:secret|hashed) ([a-z]+-password)", scripts))
    assert secrets == {"app-password", "replication-password", "sentinel-password", "drill-password"}
