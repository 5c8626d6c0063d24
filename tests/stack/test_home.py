import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hms.stack.home import default_environment, ensure_passphrase


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_a_user_who_chose_nothing_gets_a_state_and_a_passphrase_that_are_there(tmp_path: Path) -> None:
    made = default_environment({})
    assert made["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/state/hms/pulumi"
    assert Path(made["PULUMI_BACKEND_URL"].removeprefix("file://")).is_dir()
    passphrase = Path(made["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert len(passphrase.read_text()) >= 32
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert default_environment({}) == made


def test_a_backend_and_a_passphrase_of_the_users_own_are_left_alone() -> None:
    assert default_environment({"PULUMI_BACKEND_URL": "s3://state", "PULUMI_CONFIG_PASSPHRASE_FILE": "/p"}) == {}
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in default_environment({"PULUMI_CONFIG_PASSPHRASE": "mine"})


def test_a_backend_that_pulumi_is_logged_in_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text('{"current": "https://api.example"}')
    assert "PULUMI_BACKEND_URL" not in default_environment({"PULUMI_HOME": str(tmp_path)})


def test_damaged_credentials_count_as_no_login(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")
    assert "PULUMI_BACKEND_URL" in default_environment({"PULUMI_HOME": str(tmp_path)})


def test_commands_at_once_agree_on_one_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "passphrase"

    def read(_: int) -> str:
        ensure_passphrase(path)
        return path.read_text()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read, range(32)))) == 1
    assert [each.name for each in path.parent.iterdir()] == ["passphrase"]
