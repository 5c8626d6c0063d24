"""The scripts of the Redis image, with real servers: who becomes the primary, and what an acknowledged write meets."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any, Literal

import pytest
from redis import AuthenticationError, Redis, RedisError
from redis.exceptions import NoPermissionError

from infra.names import REDIS_READINESS_PORT
from infra.redis_config import PING_PERIOD_MS
from tests.infra.redis_group import COUNT, PORTS, SCRIPTS, RedisGroup, eventually

PROMOTION = "+failover-state-wait-promotion"

pytestmark = [pytest.mark.slow, pytest.mark.fault]


@contextmanager
def running(folder: Path) -> Iterator[RedisGroup]:
    made = RedisGroup(folder)
    made.prepare()
    made.start()
    try:
        eventually(made.whole, "a new group is whole")
        yield made
    finally:
        made.close()


@pytest.fixture
def group(tmp_path: Path) -> Iterator[RedisGroup]:
    """Yield a group that the test may break."""
    with running(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisGroup]:
    """Yield a group that tests only look at."""
    with running(tmp_path_factory.mktemp("calm")) as made:
        yield made


def acknowledge(group: RedisGroup, key: str) -> None:
    """Write a key to the primary and wait until both replicas have it."""
    (primary,) = group.primaries()
    with group.client(primary) as client:
        client.set(key, "kept")
        assert client.execute_command("WAIT", COUNT - 1, 5000) == COUNT - 1


def everyone_has(group: RedisGroup, key: str) -> bool:
    for number in range(COUNT):
        with group.client(number) as client:
            if client.get(key) != "kept":
                return False
    return True


def test_a_new_group_has_its_first_node_as_primary(calm: RedisGroup) -> None:
    assert calm.primaries() == [0]
    assert "no Sentinel knows a primary" in calm.log("redis-0")


def test_each_sentinel_suspects_a_little_later_than_the_one_before_it(calm: RedisGroup) -> None:
    patience_ms = []
    for number in range(COUNT):
        with calm.sentinel(number) as client:
            patience_ms.append(client.execute_command("SENTINEL MASTERS")["hms"]["down-after-milliseconds"])
    assert patience_ms == [500, 550, 600]


def test_a_sentinel_asks_often_whether_the_others_live(calm: RedisGroup) -> None:
    eventually(lambda: {ping_period_ms(calm, number) for number in range(COUNT)} == {PING_PERIOD_MS}, "each asks often")


def ping_period_ms(group: RedisGroup, number: int) -> int:
    with group.sentinel(number, "sentinel") as client:
        said: Any = client.execute_command("SENTINEL DEBUG")
    return int(said["PING-PERIOD"])


def sentinels_said(group: RedisGroup, event: str) -> int:
    """Return how often all Sentinels together logged an event."""
    return sum(group.log(f"sentinel-{number}").count(f" {event} ") for number in range(COUNT))


def test_a_primary_that_dies_is_replaced_once_and_comes_back_as_a_replica(group: RedisGroup) -> None:
    acknowledge(group, "drill:before")
    os.kill(group.server_pid(0), signal.SIGKILL)
    eventually(lambda: group.whole() and group.primaries() != [0], "another primary, and the old one its replica")
    assert everyone_has(group, "drill:before")
    assert "redis-server ended with code 137" in group.log("redis-0")
    assert group.processes["redis-0"].poll() is None, "the container's first process outlives the server"
    # Told at once, and not once more by those that found it silent later.
    assert "with 3 votes in epoch 1: OK" in group.log("redis-0")
    assert sentinels_said(group, "+promoted-slave") == 1


def test_a_failover_is_told_after_an_election_that_nobody_won(group: RedisGroup) -> None:
    for number in range(COUNT):
        with group.sentinel(number, "sentinel") as client:
            vote = client.execute_command(
                "SENTINEL IS-MASTER-DOWN-BY-ADDR", group.address("redis", 0), PORTS["redis"], 5, "f" * 40
            )
            assert vote[1:] == ["f" * 40, 5]
    os.kill(group.server_pid(0), signal.SIGKILL)
    eventually(lambda: group.whole() and group.primaries() != [0], "another primary, and the old one its replica")
    assert "with 3 votes in epoch 6: OK" in group.log("redis-0")
    assert sentinels_said(group, "+promoted-slave") == 1


def test_a_failover_is_not_told_by_a_replica_nor_without_a_majority(group: RedisGroup) -> None:
    os.kill(group.server_pid(1), signal.SIGKILL)
    others = f"its primary is {group.address('redis', 0)}"
    eventually(lambda: group.log("redis-1").count(others) == COUNT, "each Sentinel tells the replica so")
    eventually(group.whole, "the group is whole again")
    group.kill("sentinel-1", "sentinel-2")
    os.kill(group.server_pid(0), signal.SIGKILL)
    eventually(lambda: "fail-over: left to the Sentinels" in group.log("redis-0"), "one Sentinel alone tells nobody")
    assert sentinels_said(group, "+promoted-slave") == 0
    group.start("sentinel-1", "sentinel-2")
    eventually(group.whole, "the Sentinels replace it themselves once they are a majority")


def test_a_primary_that_is_reborn_empty_does_not_wipe_its_replicas(group: RedisGroup) -> None:
    acknowledge(group, "drill:before")
    group.kill("redis-0")
    shutil.rmtree(group.folder / "redis-0" / "data")
    (group.folder / "redis-0" / "data").mkdir()
    group.start("redis-0")
    eventually(group.whole, "the group is whole again")
    assert group.primaries() != [0]
    assert everyone_has(group, "drill:before")


def test_a_group_that_lost_its_power_comes_back_with_what_it_had(group: RedisGroup) -> None:
    acknowledge(group, "drill:before")
    (primary,) = group.primaries()
    with group.client(primary) as client:
        # The log has both as a transaction, whose rights a server looks at again when it reads it.
        client.pipeline(transaction=True).set("drill:together", "kept").incr("drill:count").execute()
        client.eval("redis.call('SET', KEYS[1], 'kept'); redis.call('INCR', KEYS[2])", 2, "drill:script", "drill:count")
        assert client.execute_command("WAIT", COUNT - 1, 5000) == COUNT - 1
    group.kill()
    group.start()
    eventually(group.whole, "the group is whole again", within_seconds=60)
    assert all(everyone_has(group, f"drill:{key}") for key in ("before", "together", "script"))
    assert "NOPERM" not in group.log(f"redis-{primary}")


def test_sentinels_that_lost_what_they_knew_learn_it_from_the_nodes(group: RedisGroup) -> None:
    os.kill(group.server_pid(0), signal.SIGKILL)
    eventually(lambda: group.whole() and group.primaries() != [0], "another primary")
    before = group.primaries()
    group.kill("sentinel-0", "sentinel-1", "sentinel-2")
    for number in range(COUNT):
        (group.folder / f"sentinel-{number}" / "data" / "sentinel.conf").unlink()
    group.start("sentinel-0", "sentinel-1", "sentinel-2")
    eventually(group.whole, "the Sentinels agree again")
    assert group.primaries() == before


@contextmanager
def plain_server(group: RedisGroup, kind: Literal["redis", "sentinel"], number: int) -> Iterator[Redis]:
    """Yield a server without data in a member's place, which knows nothing of the group."""
    address, port = group.address(kind, number), PORTS[kind]
    user = ["--user", "sentinel", "on", ">password-of-sentinel", "~*", "&*", "+@all"]
    argv = ["redis-server", "--bind", address, "--port", str(port), "--save", "", *user]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=group.folder)
    try:
        with Redis(host=address, port=port, username="sentinel", password="password-of-sentinel") as client:
            eventually(lambda: bool(client.ping()), "the plain server answers")
            yield client
    finally:
        process.kill()
        process.wait()


def promoted(group: RedisGroup, number: int) -> str:
    """Return what a Sentinel says when it has told a node to be the primary."""
    address = group.address("redis", number)
    return f"slave {address}:6379 {address} 6379 @ hms {group.address('redis', 0)} 6379"


def test_a_replica_follows_a_promoted_node_at_once_but_only_one_that_has_its_data(group: RedisGroup) -> None:
    acknowledge(group, "drill:before")
    group.kill("redis-0", "sentinel-0", "sentinel-1", "sentinel-2")
    following = [group.address("redis", 2), PORTS["redis"], "connected"]
    with plain_server(group, "sentinel", 0) as sentinel:
        eventually(lambda: sentinel.pubsub_numsub(PROMOTION)[0][1] == COUNT - 1, "both listen")
        with group.client(2, "sentinel") as client:
            before = client.info("stats")["total_connections_received"]
            sentinel.publish(PROMOTION, promoted(group, 2))
            eventually(lambda: client.info("stats")["total_connections_received"] > before, "it is asked")
            # As a Sentinel orders it, which so ends the connection over which it was asked.
            order = client.pipeline(transaction=True)
            order.execute_command("SLAVEOF", "NO", "ONE")
            order.execute_command("CLIENT", "KILL", "TYPE", "normal")
            order.execute()
        eventually(lambda: "redis-follow: following" in group.log("redis-1"), "the other one follows")
        eventually(lambda: group.role(1)[1:4] == following, "and is linked")
        with group.client(2) as client:
            client.set("drill:after", "kept")  # refused without a replica

        with plain_server(group, "redis", 0):
            sentinel.publish(PROMOTION, promoted(group, 0))
            eventually(lambda: "not following" in group.log("redis-1"), "a stranger is not followed")
        assert group.role(1)[1:4] == following
        with group.client(1) as client:
            assert client.get("drill:before") == "kept"


def write_until_refused(group: RedisGroup, acknowledged: list[str], started: Event) -> None:
    """Write key after key to the first node, noting each that it acknowledges, until it acknowledges no more."""
    with group.client(0) as client:
        for number in count():
            key = f"drill:{number}"
            try:
                client.set(key, "kept")
            except RedisError:
                return
            acknowledged.append(key)
            if number == 200:
                started.set()


def test_a_planned_stop_of_the_primary_hands_over_and_loses_nothing_that_it_acknowledged(group: RedisGroup) -> None:
    acknowledged: list[str] = []
    started = Event()
    writer = Thread(target=write_until_refused, args=(group, acknowledged, started))
    writer.start()
    assert started.wait(timeout=10)
    process = group.processes.pop("redis-0")
    process.terminate()
    assert process.wait(timeout=30) == 0
    writer.join(timeout=20)
    eventually(lambda: len(group.primaries()) == 1 and len(group.named()) == 1, "another primary, known to all")
    (primary,) = group.primaries()
    with group.client(primary) as client:
        lost = [key for key in acknowledged if client.get(key) != "kept"]
    assert lost == []
    assert "handing over" in group.log("redis-0")
    group.start("redis-0")
    eventually(group.whole, "the group is whole again")


def test_of_two_pods_on_one_volume_the_later_waits_for_the_end_of_the_earlier(group: RedisGroup) -> None:
    group.kill("redis-2")
    with (group.folder / "redis-2" / "data" / "held").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        group.start("redis-2")
        eventually(lambda: "waiting for their end" in group.log("redis-2"), "it says that it waits")
        assert group.role(2) == []
    eventually(lambda: group.role(2) != [], "it serves")


class TestReadiness:
    def test_who_takes_part_is_ready(self, calm: RedisGroup) -> None:
        def all_are_ready() -> bool:
            return {calm.readiness(kind, number) for kind in PORTS for number in range(COUNT)} == {(200, "ready")}

        eventually(all_are_ready, "every node and Sentinel is ready")

    def test_a_client_that_says_nothing_keeps_nobody_waiting(self, calm: RedisGroup) -> None:
        with socket.create_connection((calm.address("redis", 0), REDIS_READINESS_PORT)):
            assert calm.readiness("redis", 0) == (200, "ready")

    def test_who_lacks_what_it_needs_is_not_ready_and_says_why(self, group: RedisGroup) -> None:
        group.kill("redis-0", "sentinel-1", "sentinel-2")
        eventually(
            lambda: group.readiness("redis", 1) == (503, "slave, whose link is connect"),
            "a replica without its primary",
        )
        eventually(lambda: group.readiness("sentinel", 0)[1].startswith("-NOQUORUM"), "a Sentinel that is left alone")

    def test_a_server_that_hangs_or_is_dead_is_not_ready(self, group: RedisGroup) -> None:
        server = group.server_pid(1)
        os.kill(server, signal.SIGSTOP)
        assert group.readiness("redis", 1) == (503, "no answer within 1 s")
        os.kill(server, signal.SIGKILL)
        eventually(lambda: group.readiness("redis", 1)[1].startswith("connect: "), "nobody listens")
        eventually(lambda: group.readiness("redis", 1) == (200, "ready"), "it is back")


class TestUsers:
    def test_nobody_enters_without_a_password(self, calm: RedisGroup) -> None:
        for kind in PORTS:
            with (
                Redis(host=calm.address(kind, 0), port=PORTS[kind], socket_timeout=1) as client,
                pytest.raises(AuthenticationError),
            ):
                client.ping()

    def test_each_user_reaches_its_own_keys_and_no_settings(self, calm: RedisGroup) -> None:
        with calm.client(0, "app") as client:
            client.set("app:key", "1", ex=60)
            with pytest.raises(NoPermissionError):
                client.set("drill:key", "1")
            for forbidden in ("FLUSHALL", "CONFIG SET maxmemory 1", "SHUTDOWN", "KEYS *", "REPLICAOF NO ONE"):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*forbidden.split())

    def test_an_app_may_ask_the_sentinels_and_not_command_them(self, calm: RedisGroup) -> None:
        with Redis(
            host=calm.address("sentinel", 0), port=PORTS["sentinel"], username="app", password="password-of-app"
        ) as client:
            assert client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", "hms")
            for forbidden in ("SENTINEL FAILOVER hms", "SENTINEL REMOVE hms", "SENTINEL SET hms quorum 1"):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*forbidden.split())

    def test_no_password_is_in_an_argument_or_an_environment(self, calm: RedisGroup) -> None:
        listed = subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout
        assert str(SCRIPTS) in listed
        assert "password-of-" not in listed
