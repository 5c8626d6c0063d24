"""What holds of every fault, of two at a time, and of a schedule that is drawn."""

import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.catalogue import DRILLS, FAULTS, find, total_seconds
from drills.chance import draw
from drills.debts import Debts
from drills.faults.engine import POSTGRES, REDIS
from drills.faults.families.postgres import THAWS_SECONDS
from drills.faults.fault import Fault
from drills.faults.postgres import FILL
from drills.faults.server import Freeze
from drills.faults.together import Together, exclude_each_other
from drills.machines import machines_of
from drills.pod import DrillPod, make_settings, manifest
from drills.stage import Injection, Stage
from drills.trial import gone_astray, not_applicable
from hms.derive_drill import trial_observations
from hms.errors import HmsError
from hms.evidence_directory import encode_record
from hms.kubectl import Kubectl
from hms.paths import cluster_kubeconfig
from tests.drills.inventories import inventory
from tests.drills.states import postgres_state, redis_state, state

LONGEST_ROUND_SECONDS = 40 * 60 / 3


def injection(at_seconds: float = 10.0, target: str = "postgres-0") -> Injection:
    return Injection(target, round(at_seconds * 1e9), 0, state(9), ())


def stage_without_machines(tmp_path: Path) -> Stage:
    kubectl = Kubectl(tmp_path, "elsewhere")
    return Stage(inventory(), kubectl, cast(DrillPod, None), Debts(tmp_path / "owed.json", kubectl))


def test_three_trials_of_all_drills_are_expected_within_40_minutes() -> None:
    assert total_seconds(FAULTS) <= LONGEST_ROUND_SECONDS


@pytest.mark.parametrize("fault", DRILLS.values(), ids=lambda fault: fault.name)
def test_a_fault_says_all_that_it_is(fault: Fault) -> None:
    assert DRILLS[fault.name] is fault
    assert fault.touches
    assert fault.lasts_seconds <= fault.seconds
    assert fault.of_trial(1).name == fault.name
    # What stands or falls with the machines says so, or it would be tried on any cluster.
    of_machines = fault.name.startswith(("node-", "cluster-stop-", "cluster-freeze-"))
    assert bool(fault.needs) == of_machines or isinstance(fault, Freeze)


def test_what_needs_machines_is_not_applicable_elsewhere(tmp_path: Path) -> None:
    stage = stage_without_machines(tmp_path)
    (fault,) = find(["node-freeze-primary"])
    reason = fault.not_applicable_because(stage)
    assert "needs the machines of a test cluster" in reason
    with pytest.raises(HmsError, match="not ours to break"):
        _ = stage.machines
    record = encode_record(not_applicable(fault, 1, reason))
    run = "drills/node-freeze-primary/1"
    seen = trial_observations({"trial.json": record}, run=run, drill="node-freeze-primary", damage="")
    assert seen
    assert {observation.not_applicable for observation in seen} == {reason}


def test_only_a_test_cluster_of_this_machine_has_machines(tmp_path: Path) -> None:
    assert machines_of(Kubectl(tmp_path, "hms-default")) is None
    assert machines_of(Kubectl(cluster_kubeconfig("x"), "elsewhere")) is None


def test_a_sweep_takes_another_moment_in_each_trial() -> None:
    (blink,) = find(["postgres-blink-primary"])
    moments = [blink.of_trial(number).lasts_seconds for number in range(1, 8)]
    assert moments[0] == moments[6] == 0.2
    assert (min(moments), max(moments), len(set(moments))) == (0.2, 5.0, 6)


def test_the_thaws_are_10_ms_apart_and_few_of_them_lie_all_over() -> None:
    (thaw,) = find(["postgres-thaw-primary"])
    moments = [thaw.of_trial(number).lasts_seconds for number in range(1, len(THAWS_SECONDS) + 1)]
    assert sorted(moments) == [pytest.approx(0.3 + 0.01 * step) for step in range(150)]
    assert {int(moment // 0.25) for moment in moments[:12]} == {1, 2, 3, 4, 5, 6, 7}
    assert thaw.of_trial(1).stubborn
    assert Together.of(thaw, DRILLS["app-delete-one"], pause_seconds=0.0).stubborn


def test_who_leads_is_taken_from_what_was_said_after_the_fault() -> None:
    before = injection()
    other = postgres_state(primary="postgres-1")
    assert POSTGRES.another_leads(state(9.9, postgres=other), before) is None
    assert POSTGRES.another_leads(state(11), before) is None
    assert POSTGRES.another_leads(state(11, postgres=postgres_state(primary="")), before) is None
    assert POSTGRES.another_leads(state(11, postgres=other), before) == "postgres-1 leads instead of postgres-0"
    assert REDIS.another_leads(state(11, redis=redis_state(primary="redis-1")), before) == (
        "redis-1 leads instead of redis-0"
    )


def test_a_server_is_another_one_only_if_it_was_asked_after_the_fault() -> None:
    before = injection()
    anew = postgres_state(started={"postgres-0": "t9"})
    assert POSTGRES.started_anew(state(9.9, postgres=anew), before) is None
    assert POSTGRES.started_anew(state(11), before) is None
    assert POSTGRES.started_anew(state(11, postgres=postgres_state(started={})), before) is None
    assert POSTGRES.started_anew(state(11, postgres=anew), before) == "postgres-0's server is of t9, before t0"
    gone = postgres_state(started={"postgres-0": ""})
    assert POSTGRES.started_anew(state(11, postgres=gone), before) == "postgres-0's server is gone"


def test_without_a_primary_nothing_is_injected() -> None:
    with pytest.raises(HmsError, match="Postgres has no primary now"):
        POSTGRES.member(state(1, postgres=postgres_state(primary="")), "primary")
    with pytest.raises(HmsError, match="Postgres has no replica now"):
        POSTGRES.member(state(1, postgres=postgres_state(synchronous=())), "replica")


def test_what_was_to_stay_is_compared() -> None:
    kept = ("postgres", "redis")
    assert gone_astray(kept, state(1), state(2)) == []
    later = state(2, postgres=postgres_state(timeline=3), redis=redis_state(primary="redis-1"))
    assert gone_astray(kept, state(1), later) == [
        "Postgres' primary: postgres-0 on timeline 1 -> postgres-0 on timeline 3",
        "Redis' primary: redis-0 -> redis-1",
    ]
    assert gone_astray((), state(1), later) == []


def test_two_of_one_thing_are_refused() -> None:
    kill, freeze, redis = find(["postgres-kill-primary", "postgres-freeze-primary", "redis-kill-primary"])
    with pytest.raises(ValueError, match="break the same thing"):
        Together.of(kill, freeze, pause_seconds=1.0)
    both = Together.of(freeze, redis, pause_seconds=1.0)
    assert both.name == "postgres-freeze-primary+redis-kill-primary"
    assert both.needs == ("machines",)
    assert both.touches == {"postgres", "redis"}


def test_what_one_of_two_breaks_the_other_does_not_promise() -> None:
    app, redis = find(["app-delete-one", "redis-kill-primary"])
    assert Together.of(app, redis, pause_seconds=0.0).keeps == {"postgres"}


@given(seed=st.integers(), length=st.integers(min_value=1, max_value=30))
def test_a_schedule_is_its_seeds(seed: int, length: int) -> None:
    pool = list(FAULTS)
    drawn = draw(seed, length, pool)
    assert drawn == draw(seed, length, pool[::-1])
    assert len(drawn) == length
    for fault in drawn:
        if isinstance(fault, Together):
            assert not exclude_each_other(fault.first, fault.second)
        else:
            assert DRILLS[fault.name] is fault


def test_a_long_schedule_has_ones_and_twos_of_most_drills() -> None:
    drawn = draw(1, 400, FAULTS)
    twos = [fault for fault in drawn if isinstance(fault, Together)]
    assert 50 < len(twos) < 350
    singles = {fault.name for fault in drawn} & DRILLS.keys()
    assert len(singles) > len(FAULTS) // 2


def test_the_pod_stands_where_the_fault_wants_it() -> None:
    settings = make_settings(inventory(), run="r")
    assert "affinity" not in manifest(inventory(), settings)["spec"]
    affinity = manifest(inventory(), settings, nodes=("n1", "n2"))["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["n1", "n2"]


def test_a_volume_is_filled_to_its_last_block(tmp_path: Path) -> None:
    """On a file system of 8 MiB of its own; the next one who writes there gets the same error."""
    volume = tmp_path / "wal"
    volume.mkdir()
    (tmp_path / "fill.py").write_text(FILL)
    inside = f"mount -t tmpfs -o size=8m none {volume} && {sys.executable} {tmp_path}/fill.py {volume}/filler"
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        f"{inside}; cp /proc/version {volume}/more",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "ENOSPC\n"
    assert "No space left on device" in done.stderr
