"""The probe: its script run by a real shell on this machine, its answer taken apart."""

import os
import subprocess
from pathlib import Path

import pytest

from smoke.probe import (
    cpu_limit_millicores,
    listening_ports,
    memory_limit_bytes,
    parse_facts,
    probe_script,
    sections,
)

SECRET = "correct-horse-battery-staple"
"""Planted, to be found."""


def answer(script: str, **environment: str) -> str:
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    (tmp_path / "tls.key").write_text("first line of a key\nsecond line of a key\n\n")
    return tmp_path


@pytest.fixture(scope="module")
def whole() -> str:
    return answer(probe_script([]))


def test_it_finds_a_secret_in_an_environment(secrets: Path) -> None:
    facts = parse_facts(answer(probe_script([str(secrets)]), LEAK=f"url://user:{SECRET}@host"))
    assert any(leak.endswith(":environ") for leak in facts.leaks)
    assert facts.secret_values == 3


def test_it_finds_a_secret_in_an_argument(secrets: Path) -> None:
    with subprocess.Popen(
        ["sh", "-c", "read line", SECRET], stdin=subprocess.PIPE, env={"PATH": os.environ["PATH"]}, text=True
    ) as leaking:
        facts = parse_facts(answer(probe_script([str(secrets / "password")])))
        leaking.communicate("\n")
    assert [leak for leak in facts.leaks if leak.endswith(":cmdline")]


def test_it_finds_nothing_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(os.urandom(16).hex())
    facts = parse_facts(answer(probe_script([str(tmp_path)])))
    assert facts.leaks == ()
    assert facts.secret_values == 1
    assert facts.read > 0


def test_a_process_that_has_ended_and_that_nobody_asked_for_has_no_secret(secrets: Path) -> None:
    # The kernel refuses to show its environment, for ever: a drill's kill can leave one in a container.
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert "State:\tZ" in Path(f"/proc/{ended.pid}/status").read_text()
        facts = parse_facts(answer(probe_script([str(secrets)])))
    assert not [entry for entry in facts.closed if entry.startswith(f"{ended.pid}/")]


def test_without_a_secret_nothing_is_looked_for(whole: str) -> None:
    facts = parse_facts(whole)
    assert (facts.secret_values, facts.read, facts.leaks, facts.closed) == (0, 0, (), ())


def test_values_stay_where_they_are(secrets: Path) -> None:
    text = answer(probe_script([str(secrets)]), LEAK=SECRET)
    assert SECRET not in text
    assert "line of a key" not in text


def test_it_says_what_the_kernel_says_of_this_machine(whole: str) -> None:
    facts = parse_facts(whole)
    status = dict(line.split(":", 1) for line in Path("/proc/1/status").read_text().splitlines() if ":" in line)
    assert facts.user_ids == {int(user) for user in status["Uid"].split()}
    assert facts.effective_capabilities == int(status["CapEff"], 16)
    assert facts.seccomp_mode == int(status["Seccomp"])


def test_no_limit_is_none() -> None:
    assert memory_limit_bytes("max") is None
    assert memory_limit_bytes("9223372036854771712") is None
    assert memory_limit_bytes("536870912") == 512 * 1024**2
    assert cpu_limit_millicores("max 100000") is None
    assert cpu_limit_millicores("-1 100000") is None
    assert cpu_limit_millicores("50000 100000") == 500


def test_the_loopback_does_not_count_as_listening() -> None:
    sockets = [
        "0100007F:1F90",
        "00000000:1538",
        "00000000000000000000000000000000:1F48",
        "00000000000000000000000001000000:0050",
    ]
    assert listening_ports(sockets) == {5432, 8008}


def test_an_answer_that_was_cut_off_is_no_answer(whole: str) -> None:
    with pytest.raises(ValueError, match="cut off after section"):
        parse_facts(whole[: whole.index("@read")])
    with pytest.raises(ValueError, match="cut off"):
        sections("")


def test_an_answer_that_lacks_a_line_is_no_answer(whole: str) -> None:
    lines = [line for line in whole.splitlines() if not line.startswith("Seccomp:")]
    with pytest.raises(ValueError, match="lacks 'Seccomp'"):
        parse_facts("\n".join(lines))
