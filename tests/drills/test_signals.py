"""The script that kills a server, on real processes of a namespace of their own."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from drills.clock import boot_id
from drills.faults.signals import SCRIPT

pytestmark = pytest.mark.fault


def in_a_container(tmp_path: Path, *, as_first: bool) -> list[str]:
    """Run the script beside a process called `server`, as process 1 or as its child, and return its words."""
    server = tmp_path / "server"
    shutil.copy("/bin/sleep", server)
    begin = f"exec {server} 60" if as_first else f"{server} 60 & {server} 61"
    script = tmp_path / "script"
    script.write_text(SCRIPT)
    inside = f"(until grep -qx server /proc/[0-9]*/comm 2>/dev/null; do sleep 0.01; done; sh {script} server) & {begin}"
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]
    with subprocess.Popen([*command, inside], stdout=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stdout is not None
        words: list[str] = []
        while not words or words[-1] not in {"gone", "alive", "absent", "unkillable"}:
            words += process.stdout.readline().split()
        process.kill()
    return words


def test_the_oldest_of_its_name_is_killed_and_the_moment_is_before(tmp_path: Path) -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    words = in_a_container(tmp_path, as_first=False)
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert (words[0], words[3:]) == ("sending", [boot_id(), "gone"])
    assert before - 0.01 <= float(words[2]) <= after


def test_process_1_is_not_killed_in_vain(tmp_path: Path) -> None:
    assert in_a_container(tmp_path, as_first=True) == ["unkillable"]


def test_absent() -> None:
    said = subprocess.run(["sh", "-c", SCRIPT, "sh", f"none-{os.getpid()}"], capture_output=True, text=True, check=True)
    assert said.stdout == "absent\n"
