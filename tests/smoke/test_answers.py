"""What servers answer, taken apart: real answers of Postgres, Patroni, Redis and Sentinel, and damaged ones."""

import re
import subprocess
from typing import Any

import pytest

from hms.evidence import Check
from hms.inventory import Container, Flow, Limits, Workload
from smoke.checks import Checks
from smoke.client import waiting_reason
from smoke.network import (
    Attempt,
    allows_all,
    attempts,
    connect_script,
    declared,
    denies_all,
    parse_connected,
)
from smoke.postgres import parse_answers, parse_members, question_script, same_setting
from smoke.redis import USERS, node_script, parse_pairs, parse_role, parse_sections, parse_users
from smoke.stack import secret_paths
from smoke.witness import parse_metrics
from tests.smoke.inventory import inventory_with

PSQL = """@setting wal_level
replica
@setting max_connections
100
@recovery
f
@weak_passwords

@weak_access
@plain_connections
0
@standbys
{"name" : "postgres-1", "state" : "streaming", "sync_state" : "quorum", "lag_bytes" : 0}
{"name" : "postgres-2", "state" : "catchup", "sync_state" : "async", "lag_bytes" : null}
@receiver
@checksums
on
@codes
98186
@release
icd10cm-2026
"""


def test_an_answer_of_psql() -> None:
    answers = parse_answers(PSQL)
    assert answers.settings == {"wal_level": "replica", "max_connections": "100"}
    assert not answers.in_recovery
    assert answers.weak_access == ()
    assert [(s.name, s.sync_state, s.lag_bytes) for s in answers.standbys] == [
        ("postgres-1", "quorum", 0),
        ("postgres-2", "async", None),
    ]
    assert (answers.codes, answers.release, answers.checksums) == (98_186, "icd10cm-2026", "on")


@pytest.mark.parametrize("section", ["recovery", "standbys", "codes", "plain_connections"])
def test_an_answer_without_a_section_is_none(section: str) -> None:
    with pytest.raises(ValueError, match=f"lacks '{section}'"):
        parse_answers(re.sub(rf"@{section}\n[^@]*", "", PSQL))


@pytest.mark.parametrize("name", ["a; DROP TABLE x", "", "UPPER", "a'b"])
def test_what_is_no_name_is_not_asked(name: str) -> None:
    with pytest.raises(ValueError, match="not a name in Postgres"):
        question_script([name], database="hms")
    with pytest.raises(ValueError, match="not a name in Postgres"):
        question_script([], database=name)


def test_the_question_is_one_command_of_a_shell() -> None:
    script = question_script(["wal_level", "tcp_user_timeout"], database="hms")
    fed = subprocess.run(
        ["sh", "-c", script.replace("psql ", "cat; : ")], capture_output=True, text=True, check=True
    ).stdout
    assert "SHOW wal_level;" in fed
    assert "SHOW tcp_user_timeout" not in fed
    assert "\\connect hms\n" in fed


@pytest.mark.parametrize(
    ("name", "declared_value", "observed", "same"),
    [
        ("wal_level", "replica", "replica", True),
        ("wal_level", "replica", "minimal", False),
        ("wal_level", "replica", None, False),
        ("tcp_user_timeout", "2s", "2000ms", True),
        ("tcp_user_timeout", "2000", "2000ms", True),
        ("tcp_user_timeout", "2s", "0ms", False),
        ("tcp_keepalives_idle", "2", "2s", True),
        ("tcp_keepalives_count", "3", "3", True),
        ("tcp_keepalives_count", "3", "4", False),
        ("tcp_keepalives_count", "3", None, False),
    ],
)
def test_settings_are_compared(name: str, declared_value: str, observed: str | None, same: bool) -> None:
    assert same_setting(name, declared_value, observed) is same


def test_members_of_patroni() -> None:
    cluster: dict[str, Any] = {
        "members": [
            {"name": "postgres-1", "role": "quorum_standby", "state": "streaming", "timeline": 2, "lag": 0},
            {"name": "postgres-0", "role": "leader", "state": "running", "timeline": 2},
            {"name": "postgres-2", "role": "replica", "state": "stopped", "lag": "unknown"},
        ]
    }
    members = parse_members(cluster)
    assert [m.name for m in members] == ["postgres-0", "postgres-1", "postgres-2"]
    assert [m.lag_bytes for m in members] == [None, 0, None]
    assert [m.timeline for m in members] == [2, 2, None]
    assert parse_members({}) == ()


def test_a_primary_and_its_replicas() -> None:
    role = parse_role(["master", "3129659", "10.96.0.2", "6379", "3129242", "10.96.0.1", "6379", "3129543"])
    assert (role.name, role.replicas) == ("master", ("10.96.0.1", "10.96.0.2"))
    assert parse_role(["master", "0", ""]).replicas == ()


def test_a_replica_and_its_link() -> None:
    role = parse_role(["slave", "10.96.0.1", "6379", "connect", "-1"])
    assert (role.name, role.primary, role.link) == ("slave", "10.96.0.1", "connect")


@pytest.mark.parametrize("lines", [[], ["sentinel", "hms"], ["NOPERM this user has no permissions"]])
def test_what_is_no_role(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="not a role"):
        parse_role(lines)


def test_settings_may_be_empty() -> None:
    answer = "@role\nOK\nmaster\n0\n@config\nOK\nsave\n\nappendonly\nyes\n"
    parts = parse_sections(answer)
    assert parse_pairs(parts["config"]) == {"save": "", "appendonly": "yes"}
    assert parts["role"] == ["master", "0"]
    with pytest.raises(ValueError, match="name without a value: 'save'"):
        parse_pairs(["appendonly", "yes", "save"])


def test_digests_of_passwords_stay_in_the_container() -> None:
    listed = "user app on #0123abc ~app:* +@all\nuser default off nopass sanitize-payload resetchannels -@all\n"
    kept = subprocess.run(["sed", "-n", USERS], input=listed, capture_output=True, text=True, check=True).stdout
    assert parse_users(kept.splitlines()) == {"app": "on", "default": "off"}
    assert "0123abc" not in kept


def test_a_password_goes_through_standard_input() -> None:
    script = node_script(6379, password_file="/etc/hms/secrets/sentinel-password")
    assert "redis-cli -p 6379" in script
    assert "-a " not in script
    assert "REDISCLI_AUTH" not in script


LIMITS = Limits(cpu_request_millicores=1, cpu_limit_millicores=1, memory_request_bytes=1, memory_limit_bytes=1)


def workload(name: str, port: int) -> Workload:
    container = Container(name=name, image="i", user_id=1, ports=(port,), limits=LIMITS)
    return Workload(
        name=name, kind="StatefulSet", role="redis", replicas=1, selector={"name": name}, containers=(container,)
    )


def test_every_connection_is_tried_and_only_declared_ones_expected() -> None:
    inventory = inventory_with(
        workloads=(workload("a", 1), workload("b", 2)), flows=(Flow(source="a", target="b", port=2),)
    )
    tries = attempts(inventory, {"a": [], "b": ["10.0.0.2"]}, source="a")
    assert tries == [Attempt(source="a", target="b", port=2, address="10.0.0.2")]
    assert declared(inventory, tries[0])
    (back,) = attempts(inventory, {"a": ["10.0.0.1"], "b": []}, source="b")
    assert not declared(inventory, back)


LISTENER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
input()
"""


def test_connections_are_told_open_from_closed() -> None:
    with subprocess.Popen(
        ["python3", "-c", LISTENER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        port = int(server.stdout.readline())
        tries = [Attempt(source="a", target="b", port=p, address="127.0.0.1") for p in (port, 1)]
        text = subprocess.run(["sh", "-c", connect_script(tries)], capture_output=True, text=True, check=True).stdout
        server.communicate("\n")
    assert parse_connected(text) == {("127.0.0.1", port): True, ("127.0.0.1", 1): False}


def test_a_policy_that_denies_all_is_told_from_one_that_allows_all() -> None:
    both = ["Ingress", "Egress"]
    assert denies_all({"podSelector": {}, "policyTypes": both})
    assert not denies_all({"podSelector": {}, "policyTypes": ["Ingress"]})
    assert not denies_all({"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": both})
    opening: dict[str, Any] = {"podSelector": {}, "policyTypes": both, "ingress": [{}], "egress": [{}]}
    assert allows_all(opening)
    assert not denies_all(opening)
    assert not allows_all({"podSelector": {}, "policyTypes": both, "egress": [{"ports": [{"port": 53}]}]})


def test_secrets_are_found_where_they_are_mounted() -> None:
    pod = {
        "spec": {
            "volumes": [
                {"name": "one", "secret": {"secretName": "s"}},
                {"name": "two", "projected": {"sources": [{"secret": {"name": "s"}}]}},
                {"name": "three", "configMap": {"name": "c"}},
            ],
            "containers": [
                {
                    "name": "redis",
                    "volumeMounts": [
                        {"name": "one", "mountPath": "/a"},
                        {"name": "two", "mountPath": "/b"},
                        {"name": "three", "mountPath": "/c"},
                    ],
                },
                {"name": "other", "volumeMounts": [{"name": "one", "mountPath": "/d"}]},
            ],
        }
    }
    assert secret_paths(pod, "redis") == ["/a", "/b"]
    assert secret_paths(pod, "other") == ["/d"]


def test_a_pod_says_what_it_waits_for() -> None:
    waiting = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}]}
    assert waiting_reason(waiting) == ("ImagePullBackOff no such", True)
    unschedulable = {"conditions": [{"reason": "Unschedulable", "message": "0/3 nodes are available"}]}
    assert waiting_reason(unschedulable) == ("0/3 nodes are available", False)
    assert waiting_reason({"phase": "Pending"}) == ("", False)


def test_all_that_disagrees_is_told_at_once() -> None:
    kept: list[Check] = []
    checks = Checks(kept.append)
    checks.equal("a", "x", declared=1, observed=2)
    checks.equal("b", "y", declared={2, 1}, observed=frozenset({1, 2}))
    checks.equal("c", "z", declared=(), observed=("leak",))
    with pytest.raises(AssertionError, match=r"2 of 3 checks disagree\n  a x: .*\n  c z: declared none, observed leak"):
        checks.conclude()
    assert [check.ok for check in kept] == [False, True, False]


def test_a_test_that_checks_nothing_fails() -> None:
    with pytest.raises(AssertionError, match="nothing was checked"):
        Checks(lambda _check: None).conclude()


def test_a_witness_counts_by_name_and_label() -> None:
    counted = 'witness_probes_total{found="answered"} 12\nwitness_fences_total 0\nwitness_fenced_seconds_total 0.5\n'
    text = "# HELP x y\n" + counted
    assert parse_metrics(text) == {"probes.answered": 12.0, "fences": 0.0, "fenced_seconds": 0.5}
    with pytest.raises(ValueError, match="no counter"):
        parse_metrics("404")
