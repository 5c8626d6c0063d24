"""The witness's environment: all that is wrong with it, at once."""

import os
import subprocess
import sys

import pytest

from witness.settings import SettingsError, read_settings

GOOD = {
    "WITNESS_MEMBER": "postgres-1",
    "WITNESS_MEMBERS": "postgres-0 postgres-1 postgres-2",
    "WITNESS_NAMESPACE": "hms-ci",
    "WITNESS_SCOPE": "postgres",
    "WITNESS_INSTANCES": "app.kubernetes.io/name=app",
    "WITNESS_INSTANCES_PORT": "8080",
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
}


def test_what_is_not_said_has_a_default() -> None:
    settings = read_settings({**GOOD, "WITNESS_PERIOD_MS": "50"})
    assert (settings.api_port, settings.period_ms, settings.patience_ms, settings.failures) == (443, 50, 130, 3)


def test_every_problem_is_named_with_its_value_and_bound() -> None:
    bad = {**GOOD, "WITNESS_MEMBER": "postgres-9", "WITNESS_FAILURES": "0", "WITNESS_PATIENCE_MS": "soon"}
    del bad["WITNESS_SCOPE"]
    with pytest.raises(SettingsError) as caught:
        read_settings(bad)
    assert str(caught.value).splitlines() == [
        "WITNESS_MEMBER: 'postgres-9' is none of WITNESS_MEMBERS, postgres-0 postgres-1 postgres-2",
        "WITNESS_PATIENCE_MS: 'soon' is no whole number from 10 to 10000",
        "WITNESS_FAILURES: '0' is no whole number from 1 to 100",
        "WITNESS_SCOPE: not set",
    ]


def test_the_program_says_so_and_ends_with_2() -> None:
    command = [sys.executable, "-m", "witness"]
    ended = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "witness: WITNESS_MEMBER: not set" in ended.stderr.splitlines()
