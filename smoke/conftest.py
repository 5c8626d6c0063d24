"""How pytest is told which stack to check: `pytest smoke/ --inventory FILE --kubeconfig FILE --context NAME`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from hms.errors import HmsError
from hms.evidence import Check
from hms.inventory import decode_inventory
from hms.kubectl import explicit_kubectl
from hms.paths import tools_bin
from smoke.checks import Checks
from smoke.client import Client
from smoke.stack import RunningStack

_stack = pytest.StashKey[RunningStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that name the stack."""
    group = parser.getgroup("smoke", "the stack to check")
    group.addoption("--inventory", type=Path, help="the stack's Inventory: `pulumi stack output inventory --json`")
    group.addoption("--kubeconfig", type=Path, help="the kubeconfig of its cluster")
    group.addoption("--context", help="the context in --kubeconfig")
    group.addoption("--checks", type=Path, help="append every check to this file, a line of JSON each")


def pytest_configure(config: pytest.Config) -> None:
    """Read what was given; every missing option is named at once."""
    names = ("--inventory", "--kubeconfig", "--context")
    if missing := [name for name in names if config.getoption(name) is None]:
        raise pytest.UsageError(f"smoke: {', '.join(missing)} missing; `hms smoke` gives them by itself")
    # testinfra finds kubectl on the path alone; the one that `hms tools` chose goes first.
    os.environ["PATH"] = f"{tools_bin()}{os.pathsep}{os.environ['PATH']}"
    inventory_file = cast(Path, config.getoption("--inventory"))
    try:
        inventory = decode_inventory(inventory_file.read_bytes(), source=str(inventory_file))
        kubectl = explicit_kubectl(config.getoption("--kubeconfig"), str(config.getoption("--context")))
    except (OSError, HmsError) as error:
        raise pytest.UsageError(f"smoke: {error}") from error
    config.stash[_stack] = RunningStack(inventory, kubectl)


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> RunningStack:
    """Give the stack to check."""
    return pytestconfig.stash[_stack]


@pytest.fixture(scope="session", autouse=True)
def client(stack: RunningStack) -> Iterator[Client]:
    """Give a pod from which the app may be called, as a client would; asked for first, it starts meanwhile."""
    with Client(stack.inventory, stack.kubectl) as pod:
        yield pod


@pytest.fixture
def checks(pytestconfig: pytest.Config) -> Checks:
    """Take what a test compares; the test fails at its end if something disagrees."""
    return Checks(lambda check: _keep(pytestconfig, check))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Conclude a test's checks; what could not be observed at all is a check that disagrees."""
    try:
        yield
    except Exception as error:
        name = f"{pyfuncitem.path.stem.removeprefix('test_')}.{pyfuncitem.name.removeprefix('test_')}"
        target = pyfuncitem.config.stash[_stack].inventory.stack
        seen = (str(error) or type(error).__name__).splitlines()[0]
        _keep(pyfuncitem.config, Check(id=name, target=target, declared="can be observed", observed=seen, ok=False))
        raise
    made = pyfuncitem.funcargs.get("checks")
    if isinstance(made, Checks):
        made.conclude()


def _keep(config: pytest.Config, check: Check) -> None:
    file = cast(Path | None, config.getoption("--checks"))
    if file is not None:
        with file.open("ab") as out:
            out.write(msgspec.json.encode(check, order="deterministic") + b"\n")
