import threading
from pathlib import Path

import pytest

from hms.cluster.lock import locked
from hms.cluster.state import ClusterState, read_state, validated_name, write_state
from hms.errors import ClusterError, UsageError


def test_state_is_read_back_as_written(tmp_path: Path) -> None:
    state = ClusterState(name="ci", index=2, nodes=3, api_port=40123)

    write_state(tmp_path, state)

    assert read_state(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_no_state_is_no_cluster(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("damaged", ["", "{", '{"name": "ci"}', '{"name": "ci", "index": "two", "nodes": 3}'])
def test_a_damaged_state_is_named_with_a_way_out(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "state.json").write_text(damaged)

    with pytest.raises(ClusterError, match=r"state\.json: not a cluster's state(.|\n)*hms cluster down"):
        read_state(tmp_path)


@pytest.mark.parametrize("name", ["default", "t-1", "a", "a" * 20])
def test_names_that_can_be_part_of_others(name: str) -> None:
    assert validated_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 21, "a b", "a\n"])
def test_names_that_cannot(name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        validated_name(name)


def test_a_second_holder_waits_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "clusters" / "ci.lock"
    waiting = threading.Event()
    order: list[str] = []

    def second() -> None:
        with locked(path, on_wait=waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)

    assert order == ["first", "second"]


def test_a_lock_whose_file_was_removed_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ci.lock"
    waiting = threading.Event()
    entered = threading.Event()
    leave = threading.Event()

    def second() -> None:
        with locked(path, on_wait=waiting.set):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        assert waiting.wait(10)
        path.unlink()  # As `down` does.
    assert entered.wait(10)
    held_again = threading.Event()
    with_wait = threading.Thread(target=lambda: _hold_once(path, held_again))
    with_wait.start()
    assert held_again.wait(10), "the second holder's lock must be on the file that is there now"
    leave.set()
    thread.join(10)
    with_wait.join(10)


def _hold_once(path: Path, waited: threading.Event) -> None:
    with locked(path, on_wait=waited.set):
        pass
