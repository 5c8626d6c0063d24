import msgspec
import pytest

from drills.observer.judgement import (
    PostgresMember,
    RedisNode,
    SentinelView,
    judge_postgres,
    judge_redis,
    postgres_changes,
    redis_changes,
)
from drills.observer.sources import read_patroni, read_redis

LEADER = PostgresMember(
    state="running", role="primary", timeline=3, started="t0", position=5_000_000,
    streaming=("pg-1", "pg-2"), synchronous=("pg-1", "pg-2"),
)  # fmt: skip
REPLICA = PostgresMember(state="running", role="replica", timeline=3, started="t1", position=4_999_000)
MASTER = RedisNode(role="master", run_id="r0", offset=100, replicas=2)
SLAVE = RedisNode(role="replica", run_id="r1", offset=100, master="10.0.0.1:6379")
VIEW = SentinelView(address="10.0.0.1:6379", flags="master", replicas=2, others=2, tilted=False)


def changed(member: PostgresMember, **fields: object) -> PostgresMember:
    return msgspec.structs.replace(member, **fields)


def test_steady_postgres() -> None:
    state = judge_postgres({"pg-0": LEADER, "pg-1": REPLICA, "pg-2": REPLICA})
    assert state.steady
    assert (state.primary, state.replicas, state.timeline) == ("pg-0", ("pg-1", "pg-2"), 3)


@pytest.mark.parametrize(
    ("leader", "replica", "reason"),
    [
        (None, REPLICA, "pg-0 does not answer; no member leads"),
        (changed(LEADER, role="replica"), REPLICA, "no member leads"),
        (LEADER, None, "pg-2 does not answer"),
        (LEADER, changed(REPLICA, state="starting"), "pg-2 is starting"),
        (LEADER, changed(LEADER, started="t9"), "2 members lead"),
        (changed(LEADER, streaming=("pg-1",)), REPLICA, "pg-2 does not stream"),
        (LEADER, changed(REPLICA, timeline=2), "pg-2 is on timeline 2"),
        (LEADER, changed(REPLICA, position=1), "pg-2 lags by 4999999 bytes"),
        (changed(LEADER, synchronous=()), REPLICA, "no replica is synchronous"),
    ],
)
def test_unsteady_postgres(leader: PostgresMember | None, replica: PostgresMember | None, reason: str) -> None:
    state = judge_postgres({"pg-0": leader, "pg-1": REPLICA, "pg-2": replica})
    assert not state.steady
    assert reason in state.detail


def test_steady_redis() -> None:
    state = judge_redis({"r0": MASTER, "r1": SLAVE, "r2": SLAVE}, {"s0": VIEW, "s1": VIEW, "s2": VIEW})
    assert state.steady
    assert (state.primary, state.replicas) == ("r0", ("r1", "r2"))


@pytest.mark.parametrize(
    ("master", "slave", "view", "reason"),
    [
        (None, SLAVE, VIEW, "r0 does not answer; no node is master"),
        (MASTER, MASTER, VIEW, "masters are r0, r2"),
        (msgspec.structs.replace(MASTER, replicas=1), SLAVE, VIEW, "the master has 1 replicas of 2"),
        (MASTER, msgspec.structs.replace(SLAVE, master=""), VIEW, "r2's link to its master is down"),
        (MASTER, msgspec.structs.replace(SLAVE, master="10.0.0.9:6379"), VIEW, "replicas follow"),
        (msgspec.structs.replace(MASTER, offset=9 << 20), SLAVE, VIEW, "lags by"),
        (MASTER, SLAVE, None, "s2 does not answer"),
        (MASTER, SLAVE, msgspec.structs.replace(VIEW, address="10.0.0.9:6379"), "s2 names 10.0.0.9:6379"),
        (MASTER, SLAVE, msgspec.structs.replace(VIEW, tilted=True), "s2 is in tilt mode"),
        (MASTER, SLAVE, msgspec.structs.replace(VIEW, flags="master,s_down"), "s2 flags the master master,s_down"),
        (MASTER, SLAVE, msgspec.structs.replace(VIEW, others=1), "s2 knows 1 other Sentinels of 2"),
        (MASTER, SLAVE, msgspec.structs.replace(VIEW, replicas=1), "s2 knows 1 replicas of 2"),
    ],
)
def test_unsteady_redis(
    master: RedisNode | None, slave: RedisNode | None, view: SentinelView | None, reason: str
) -> None:
    state = judge_redis({"r0": master, "r1": SLAVE, "r2": slave}, {"s0": VIEW, "s1": VIEW, "s2": view})
    assert not state.steady
    assert reason in state.detail


def test_what_became_different_is_told_once() -> None:
    assert postgres_changes("pg-0", LEADER, LEADER) == []
    assert postgres_changes("pg-0", LEADER, None) == ["pg-0: Patroni does not answer"]
    assert postgres_changes("pg-0", None, None) == []
    assert postgres_changes("pg-1", REPLICA, changed(REPLICA, role="primary", timeline=4)) == [
        "pg-1: role replica -> primary",
        "pg-1: timeline 3 -> 4",
    ]
    assert postgres_changes("pg-0", LEADER, changed(LEADER, started="")) == ["pg-0: postmaster is gone"]
    assert redis_changes("r0", MASTER, MASTER) == []
    assert redis_changes("r1", SLAVE, msgspec.structs.replace(MASTER, run_id="r1")) == [
        "r1: role replica -> master",
        "r1: follows nobody",
        "r1: has 2 replicas",
    ]


def test_patronis_words() -> None:
    member = read_patroni(
        {
            "state": "running",
            "postmaster_start_time": "2026-01-01",
            "role": "primary",
            "xlog": {"location": 77},
            "timeline": 2,
            "replication": [
                {"application_name": "b", "state": "streaming", "sync_state": "quorum"},
                {"application_name": "a", "state": "streaming", "sync_state": "async"},
                {"application_name": "c", "state": "catchup", "sync_state": "async"},
            ],
        }
    )
    assert (member.position, member.streaming, member.synchronous) == (77, ("a", "b"), ("b",))
    stopped = read_patroni({"state": "stopped", "role": "replica"})
    assert (stopped.started, stopped.timeline, stopped.position) == ("", 0, 0)


def test_redis_words() -> None:
    slave = {
        "role": "slave", "run_id": "x", "master_host": "h", "master_port": "1", "master_link_status": "up",
        "slave_repl_offset": "9",
    }  # fmt: skip
    assert read_redis(slave) == RedisNode(role="replica", run_id="x", offset=9, master="h:1")
    assert read_redis(slave | {"master_link_status": "down"}).master == ""
