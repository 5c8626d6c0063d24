import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from socket import gethostname

import pytest

from hms.stack.lock import BackendFiles, lock_holders
from hms.stack.orphans import end_orphans


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
def test_a_lock_that_cannot_be_read_is_held_by_nobody(tmp_path: Path, content: str) -> None:
    url = write_lock(tmp_path, 1, gethostname())
    (tmp_path / ".pulumi/locks/organization/hms/dev/1.json").write_text(content)
    assert not any(holder.alive for holder in lock_holders(url, "dev"))


def test_a_backend_that_is_no_folder_looks_after_its_own_locks() -> None:
    assert lock_holders("https://api.example", "dev") == []


def test_a_stack_that_was_never_locked_has_no_holder(tmp_path: Path) -> None:
    assert lock_holders(f"file://{tmp_path}", "dev") == []


class TestRepair:
    """What was found on disk after SIGKILL of pulumi at moments of its writing."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> BackendFiles:
        found = BackendFiles.of(write_lock(tmp_path, dead_pid(), gethostname()), "dev")
        assert found is not None
        found.state.parent.mkdir(parents=True)
        found.state.write_text('{"version": 3}')
        found.state.with_name("dev.json.bak").write_text('{"version": 2}')
        found.state.with_name("dev.json.attrs").write_text('{"user.content_type": ""}')
        return found

    def test_what_is_whole_is_left_alone(self, files: BackendFiles) -> None:
        assert files.repair() == []
        assert files.state.read_text() == '{"version": 3}'
        assert len(files.holders()) == 1

    def test_an_empty_attribute_file_is_removed_and_the_state_stays(self, files: BackendFiles) -> None:
        attributes = files.state.with_name("dev.json.attrs")
        attributes.write_bytes(b"")
        files.state.with_name("dev.json.18ea.tmp").write_text("{")
        assert len(files.repair()) == 2
        assert not attributes.exists()
        assert files.state.read_text() == '{"version": 3}'

    @pytest.mark.parametrize("torn", [None, b"", b'{"version"'])
    def test_a_state_that_is_gone_or_torn_comes_back_from_its_second_name(
        self, files: BackendFiles, torn: bytes | None
    ) -> None:
        if torn is None:
            files.state.unlink()
        else:
            files.state.write_bytes(torn)
        assert files.repair() == ["dev.json is restored from dev.json.bak"]
        assert files.state.read_text() == '{"version": 2}'

    def test_a_lock_that_was_cut_off_is_removed(self, files: BackendFiles) -> None:
        (files.locks / "torn.json").write_bytes(b"")
        (files.locks / "torn.json.attrs").write_bytes(b"")
        files.repair()
        assert [holder.file.name for holder in files.holders()] != []
        assert not list(files.locks.glob("torn*"))

    def test_another_stacks_files_are_left_alone(self, files: BackendFiles) -> None:
        other = files.state.with_name("dev2.json.attrs")
        other.write_bytes(b"")
        files.repair()
        assert other.exists()


class TestOrphans:
    def started(self, folder: Path, name: str, backend: str) -> "subprocess.Popen[bytes]":
        program = folder / name
        program.symlink_to("/bin/cat")
        process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PULUMI_BACKEND_URL": backend}
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"started\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"started\n"
        return process

    def test_a_plugin_whose_pulumi_is_gone_is_ended_and_no_other_process(self, tmp_path: Path) -> None:
        orphan = self.started(tmp_path, "pulumi-resource-kubernetes", f"file://{tmp_path}")
        another_backends = self.started(tmp_path, "pulumi-resource-other", "file:///elsewhere")
        no_plugin = self.started(tmp_path, "cat", f"file://{tmp_path}")
        try:
            assert end_orphans(f"file://{tmp_path}") == [orphan.pid]
            assert orphan.wait(timeout=5) == -signal.SIGTERM
            assert another_backends.poll() is None
            assert no_plugin.poll() is None
        finally:
            for process in (orphan, another_backends, no_plugin):
                process.communicate()

    def test_a_plugin_under_a_pulumi_that_runs_is_left_alone(self, tmp_path: Path) -> None:
        """The shell stands for pulumi: it has its name, and waits for the plugin that it started."""
        (tmp_path / "pulumi").symlink_to("/bin/bash")
        (tmp_path / "pulumi-resource-kubernetes").symlink_to("/bin/cat")
        parent = subprocess.Popen(
            [str(tmp_path / "pulumi"), "-c", f"{tmp_path}/pulumi-resource-kubernetes; exit 0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PULUMI_BACKEND_URL": f"file://{tmp_path}"},
        )  # fmt: skip
        assert parent.stdin is not None
        assert parent.stdout is not None
        try:
            parent.stdin.write(b"started\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == b"started\n"
            assert end_orphans(f"file://{tmp_path}") == []
        finally:
            parent.communicate()
        assert parent.returncode == 0
