"""A driver that lives, one that is dead, and those of which nothing is known."""

import subprocess
import sys

import pytest

from loadtests.driver import identity, surely_dead


def test_a_driver_is_alive_until_its_end() -> None:
    program = "from loadtests.driver import identity; print(identity(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        other = process.stdout.readline().strip()
        assert not surely_dead(other)
        process.communicate("\n")
    assert surely_dead(other)


def test_this_process_lives() -> None:
    assert not surely_dead(identity())


def test_a_process_id_that_was_given_again_is_another_process() -> None:
    machine, pid, started = identity().split("/")
    assert surely_dead(f"{machine}/{pid}/{int(started) - 1}")


@pytest.mark.parametrize("driver", ["", "another-boot/1/1", "no form at all"])
def test_of_strangers_nothing_is_known(driver: str) -> None:
    assert not surely_dead(driver)
