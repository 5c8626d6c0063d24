import json
import os
import subprocess
import sys
from pathlib import Path
from socket import gethostname

import pytest

from hms.stack.lock import lock_holders


def write_lock(folder: Path, pid: int, host: str) -> str:
    locks = folder / ".pulumi" / "locks" / "organization" / "hms" / "dev"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / f"{pid}.json").write_text(json.dumps({"pid": pid, "username": "u", "hostname": host, "timestamp": "t"}))
    return f"file://{folder}"


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_process_is_known_as_such(tmp_path: Path) -> None:
    (holder,) = lock_holders(write_lock(tmp_path, dead_pid(), gethostname()), "dev")
    assert not holder.alive


def test_a_process_that_is_no_pulumi_holds_nothing(tmp_path: Path) -> None:
    """The number of a dead process is given to another one in the end."""
    (holder,) = lock_holders(write_lock(tmp_path, os.getpid(), gethostname()), "dev")
    assert not holder.alive


def test_a_pulumi_that_runs_holds_its_lock(tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/cat")
    process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"started\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"started\n"
    try:
        (holder,) = lock_holders(write_lock(tmp_path, process.pid, gethostname()), "dev")
        assert holder.alive
    finally:
        process.communicate()


def test_another_machines_process_counts_as_alive(tmp_path: Path) -> None:
    (holder,) = lock_holders(write_lock(tmp_path, 1, "another-machine"), "dev")
    assert holder.alive


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}'])
def test_a_damaged_lock_names_nobody(tmp_path: Path, content: str) -> None:
    url = write_lock(tmp_path, 1, gethostname())
    (tmp_path / ".pulumi/locks/organization/hms/dev/1.json").write_text(content)
    assert lock_holders(url, "dev") == []


def test_a_backend_that_is_no_folder_looks_after_its_own_locks() -> None:
    assert lock_holders("https://api.example", "dev") == []


def test_a_stack_that_was_never_locked_has_no_holder(tmp_path: Path) -> None:
    assert lock_holders(f"file://{tmp_path}", "dev") == []
