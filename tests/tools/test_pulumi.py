"""Pulumi finds its language host and the Kubernetes plugin, quietly, in the environment that a toolbox gives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hms.tools import STACK_TOOLS, Toolbox, ensure

PROGRAM = """
import pulumi
import pulumi_kubernetes as kubernetes

provider = kubernetes.Provider("rendered", render_yaml_to_directory="rendered")
kubernetes.core.v1.ConfigMap("one", data={"key": "value"}, opts=pulumi.ResourceOptions(provider=provider))
"""


@pytest.fixture(scope="module")
def toolbox() -> Toolbox:
    """Return the stack's tools out of the user's own cache: they take minutes to build where it is empty."""
    return ensure(STACK_TOOLS, progress=print)


@pytest.mark.slow
def test_a_preview_finds_the_language_host_and_the_plugin_without_a_warning(
    toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_HOME")
    (tmp_path / "Pulumi.yaml").write_text("name: trivial\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "backend").mkdir()
    # The interpreter of this test, which has the packages, before the machine's.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    environment = {
        **os.environ, **toolbox.environment(),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/backend", "PULUMI_CONFIG_PASSPHRASE": "of a test",
    }  # fmt: skip

    def pulumi(*arguments: str) -> str:
        done = subprocess.run(
            [str(toolbox.path("pulumi")), "--non-interactive", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "kubernetes" in pulumi("plugin", "ls")
    pulumi("stack", "init", "trivial")
    previewed = pulumi("preview")
    assert "kubernetes:core/v1:ConfigMap one create" in previewed
    assert "warning" not in previewed.lower()
