"""What a drill owes, on a machine's own processes, and on pods that are or are not there."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from drills.debts import Continue, Debt, Debts, End, InPod, Mend, in_words
from drills.machines import process_started, process_state
from hms.errors import HmsError, KubectlError
from hms.kubectl import Kubectl
from tests.drills.engines import until

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


class Pods(Kubectl):
    """Pods that do what they are told, except those whose names say why not."""

    done: list[str]

    def exec(
        self, pod: str, container: str, argv: Sequence[str], *, stdin: str | None = None, timeout_seconds: float = 30.0
    ) -> str:
        if pod == "gone":
            raise KubectlError("no", stderr='Error from server (NotFound): pods "gone" not found')
        if pod == "deaf":
            raise KubectlError("kubectl exec: no answer within 15 s")
        told.append(f"{pod} {' '.join(argv)}{stdin or ''}")
        return ""


told: list[str] = []


@pytest.fixture
def debts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debts:
    told.clear()
    monkeypatch.setattr("drills.debts.PAUSE_SECONDS", 0.0)
    return Debts(tmp_path / "new" / "owed.json", Pods(tmp_path, "c"))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def in_pod(pod: str, word: str = "x") -> InPod:
    return InPod(pod=pod, container="c", argv=(word,), does="mend it")


def test_the_newest_is_paid_first_and_once(debts: Debts) -> None:
    debts.owe(in_pod("one"))
    debts.owe(InPod(pod="two", container="c", argv=("y",), does="mend it", stdin="z"))
    said: list[str] = []
    assert debts.settle(said.append) == 2
    assert told == ["two yz", "one x"]
    assert said == ["mend it in two", "mend it in one"]
    assert debts.settle(said.append) == 0
    assert debts.owed() == []


def test_nothing_is_owed_to_a_pod_that_is_gone(debts: Debts) -> None:
    debts.owe(in_pod("gone"))
    assert debts.settle() == 1
    assert debts.owed() == []


def test_what_cannot_be_paid_is_named_and_stays(debts: Debts) -> None:
    debts.owe(in_pod("one"))
    debts.owe(in_pod("deaf"))
    with pytest.raises(HmsError, match="not put right: mend it in deaf: kubectl exec: no answer within 15 s"):
        debts.settle()
    assert told == ["one x"]
    assert debts.owed() == [in_pod("deaf")]


def test_machines_are_mended_before_pods(
    debts: Debts, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    owed: list[Debt] = [Continue(process_id=sleeper.pid, started=process_started(sleeper.pid)), in_pod("one")]
    for debt in owed:
        debts.owe(debt)
    said: list[str] = []
    debts.settle(said.append)
    assert said == [in_words(debt) for debt in owed]


def test_a_file_that_cannot_be_read_is_no_clean_slate(debts: Debts, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "owed.json").write_text("[{")
    with pytest.raises(HmsError, match="cannot be read"):
        debts.settle()


def test_after_kill_9_of_the_drill_the_next_one_lets_the_process_go_on(
    debts: Debts, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """A drill in a process of its own stops a process and is killed before it could undo that."""
    drill = f"""
        import os, signal
        from pathlib import Path
        from drills.debts import Continue, Debts
        from drills.machines import process_started
        from hms.kubectl import Kubectl
        debts = Debts(Path({str(tmp_path / "new" / "owed.json")!r}), Kubectl(Path("k"), "c"))
        debts.owe(Continue(process_id={sleeper.pid}, started=process_started({sleeper.pid})))
        os.kill({sleeper.pid}, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(drill)], check=False)
    assert killed.returncode == -signal.SIGKILL
    until(lambda: process_state(sleeper.pid) == "T", "it is not stopped")
    assert debts.settle() == 1
    until(lambda: process_state(sleeper.pid) == "S", "it does not go on")


def test_a_process_that_is_to_be_ended_ends_though_it_stands_still(
    debts: Debts, sleeper: subprocess.Popen[bytes]
) -> None:
    os.kill(sleeper.pid, signal.SIGSTOP)
    debts.owe(End(process_id=sleeper.pid, started=process_started(sleeper.pid)))
    assert debts.settle() == 1
    assert sleeper.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.parametrize("owed", [Continue, End])
def test_a_later_process_of_the_same_number_is_left_alone(
    debts: Debts, sleeper: subprocess.Popen[bytes], owed: type[Continue | End]
) -> None:
    debts.owe(owed(process_id=sleeper.pid, started=process_started(sleeper.pid) - 1))
    os.kill(sleeper.pid, signal.SIGSTOP)
    until(lambda: process_state(sleeper.pid) == "T", "it is not stopped")
    debts.settle()
    assert process_state(sleeper.pid) == "T"


def test_each_debt_says_what_is_to_be_done() -> None:
    assert in_words(Mend(cluster="c", node=2)) == "give node 2 of cluster c its power, its time and its cable"
    assert process_state(1 << 22) == ""
    assert process_started(1 << 22) == 0
