"""What is asked wrongly is refused before a stack or a tool is looked for, and nothing is left of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from hms.cli.main import cli
from hms.errors import UsageError
from hms.paths import state_home


def refusal(*arguments: str) -> UsageError:
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, UsageError), result.output
    return result.exception


@pytest.fixture(autouse=True)
def nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("drill", "run", "postgres-kil-primary"), "postgres-kil-primary"),
        (("drill", "run", "postgres-kill-primary", "--trials", "0"), "--trials 0: must be from 1 to 1000"),
        (("drill", "run"), "no drill named"),
        (("drill", "control", "--trials", "1001"), "--trials 1001: must be from 1 to 1000"),
        (("prove", "--kubeconfig", "/absent", "--context", "x"), "kubeconfig /absent: no such file"),
        (("prove", "--stack", "nosuch"), "stack 'nosuch': unknown; there is ci, dev, prod, staging"),
    ],
)
def test_it_is_named_and_nothing_is_left(arguments: tuple[str, ...], said: str) -> None:
    assert said in str(refusal(*arguments))
    assert not state_home().exists() or not list(state_home().rglob("*.yaml"))
