"""The plan of a run and its Jobs: bad ones refused with every problem at once, good ones as restricted as all pods."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hms.errors import InvalidSpecError, LoadError, UsageError
from hms.evidence_directory import EvidenceDirectory
from loadtests.jobs import master_job, worker_job
from loadtests.keep import next_number
from loadtests.merging import merge_records
from loadtests.plan import RESULT_MARKER, LoadPlan, make_plan
from loadtests.record import checked_record
from loadtests.recorder import WorkerRecord
from loadtests.target import loopback_target, stack_target
from tests.loadtests.inventory import small_inventory
from tests.loadtests.test_recorder import account

SEEN = [("search", 0, 10, ""), ("lookup", 0, 10, ""), None]


def plan(**given: Any) -> LoadPlan:
    wanted: dict[str, Any] = {"scenario": "first", "rate_per_second": 100.0, "duration": "30s", "workers": 2, **given}
    return make_plan(stack_target(small_inventory()), **wanted)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InvalidSpecError) as refused:
        plan(
            scenario="second", rate_per_second="0", duration="5x", workers="40", seed="-1", target="http://example.org"
        )
    problems = "\n".join(refused.value.problems)
    assert len(refused.value.problems) == 6
    assert (
        "scenario 'second': must be one of abuse, cache-cold, cache-warm, claims-batch, crowd, first, mixed, typing"
        in problems
    )
    assert "rate 0/s: must be from 0.1 to 20000/s" in problems
    assert "duration '5x': must be a number with its unit s, m or h" in problems
    assert "workers 40: must be from 1 to 32" in problems
    assert "seed -1: must be from 0" in problems
    assert "target 'http://example.org': not the app of stack ci" in problems
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("rate", ["nan", "inf", "-1", "fast", ""])
def test_a_rate_that_is_none_is_refused_once(rate: str) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        plan(rate_per_second=rate)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith("rate ")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30.0), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0), (12.5, 12.5)]
)
def test_durations_have_a_unit(text: str | float, seconds: float) -> None:
    assert plan(duration=text).duration_seconds == seconds


@pytest.mark.parametrize(
    "target", ["http://app", "http://app:80", "http://app.hms-ci", "http://app.hms-ci.svc.cluster.local:80"]
)
def test_the_stack_s_own_app_may_be_named(target: str) -> None:
    assert plan(target=target).target == target


@pytest.mark.parametrize(
    "target",
    ["http://app.hms-prod.svc", "https://app", "http://app:8080", "http://postgres", "http://app@example.org", "app"],
)
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(InvalidSpecError, match="not the app of stack ci"):
        plan(target=target)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"shape": "10"}, "shape '10': stage '10': must be a multiple of the rate and a duration"),
        ({"shape": "1:30s, 500:1s"}, "shape's highest rate 50000/s: must be from 0.1 to 20000/s"),
        ({"shape": "1:30h"}, "duration 108000 s: must be from 1 to 86400 s"),
        ({"arrivals": "random"}, "arrivals 'random': must be one of poisson, constant"),
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(given: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        plan(**given)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(named)


def test_a_shape_says_how_long_and_goes_to_the_streams() -> None:
    shaped = plan(shape="1:30s, 10:5s", duration="1h", arrivals="constant")
    assert shaped.duration_seconds == 35
    assert shaped.max_in_flight_per_worker == 2000
    args = master_job(shaped, run="r", image="i")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--stream-shape") + 1] == "1:30s, 10:5s"
    assert args[args.index("--arrivals") + 1] == "constant"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://127.3.4.5", "http://[::1]:80"])
def test_a_service_on_this_machine_may_be_loaded(url: str) -> None:
    target = loopback_target(url)
    assert target.url == url
    assert target.problem("http://127.0.0.1:9") != ""


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1", "http://example.org", "https://127.0.0.1", "127.0.0.1:80", "http://127.0.0.1@example.org",
        "http://127.0.0.1:80/x", "http://127.0.0.1:99999", "http://localhost:80", "",
    ],
)  # fmt: skip
def test_no_other_machine_may_be_loaded(url: str) -> None:
    with pytest.raises(UsageError, match="must be an address of this machine's loopback"):
        loopback_target(url)


def test_the_streams_share_the_rate() -> None:
    arguments = master_job(plan(rate_per_second=90, workers=3), run="r", image="i")
    args = arguments["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--stream-rate") + 1] == "30.0"
    assert args[args.index("--users") + 1] == args[args.index("--expect-workers") + 1] == "3"


@pytest.mark.parametrize("part", ["master", "worker"])
def test_pods_are_restricted_and_bounded(part: str) -> None:
    job = (
        master_job(plan(), run="r", image="i")
        if part == "master"
        else worker_job(plan(), run="r", image="i", master_address="10.0.0.1")
    )
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert set(container["resources"]) == {"requests", "limits"}
    assert pod["automountServiceAccountToken"] is False
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] == "loadgen"
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == 30 + 150
    assert job["spec"]["parallelism"] == job["spec"]["completions"] == (1 if part == "master" else 2)


def log_of(*records: WorkerRecord) -> str:
    run = merge_records(records, scenario="first", rate_per_second=100, duration_seconds=30, seed=1)
    return f"Starting Locust\n{RESULT_MARKER}{msgspec.json.encode(run).decode()}\nType Name\n"


def test_a_whole_record_is_taken() -> None:
    record = checked_record(plan(), log_of(account(SEEN), account(SEEN)))
    assert (record.intended, record.sent, record.dropped) == (6, 4, 2)


def test_a_record_without_a_worker_is_refused() -> None:
    with pytest.raises(LoadError, match="1 of 2 workers reported"):
        checked_record(plan(), log_of(account(SEEN)))


def test_a_record_that_does_not_add_up_is_refused() -> None:
    short = msgspec.structs.replace(account(SEEN), sent=1)
    with pytest.raises(LoadError, match="6 arrivals intended but 3 sent and 2 dropped; 3 sent but 4 ended"):
        checked_record(plan(), log_of(account(SEEN), short))


@pytest.mark.parametrize("log", ["", "2026 ERROR/hms.load: load run given up: 1 of 2 workers lost\n"])
def test_an_end_without_a_record_is_an_error(log: str) -> None:
    with pytest.raises(LoadError, match=r"ended without a record; it said:\n  (nothing|.*workers lost)"):
        checked_record(plan(), log)


def test_a_damaged_record_is_an_error() -> None:
    with pytest.raises(LoadError, match="record is damaged"):
        checked_record(plan(), f"{RESULT_MARKER}{{}}")


def test_runs_are_numbered_in_their_evidence(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path)
    assert next_number(evidence, "first") == 1
    evidence.write("load/first/1/load.json", {})
    evidence.write("load/first/10/load.json", {})
    assert next_number(evidence, "first") == 11
