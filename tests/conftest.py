"""What all rooms' tests share: the one proved stack, and the order and the groups that let tests run side by side."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.proved import ProvedStack, proved_stack

# A shell's background job ignores SIGINT, and so would its children: a test of Ctrl-C would wait for good.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProvedStack]:
    """Prove the stack `ci` once, small, on a cluster of the tests' own, and leave it running for the session."""
    if os.geteuid() != 0:
        pytest.skip("the test cluster needs root")
    with proved_stack(tmp_path_factory.mktemp("proof")) as proved:
        yield proved


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests want the machine for themselves, which run in one process, and in which order they begin.

    What needs the proved stack measures: it is `alone`, runs last, and what ends that stack at the very end. Of the
    others a file is a group, for its tests share servers, and those with a test cluster of their own are one, for a
    machine's inotify instances are enough for one cluster at a time. What waits long begins first.
    """
    for item in items:
        if "proof" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.alone)
        group = "clusters" if item.get_closest_marker("cluster") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    long_files = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("fault")}

    def place(item: pytest.Item) -> int:
        if item.get_closest_marker("alone"):
            return 4 if item.get_closest_marker("ends_the_stack") else 3
        if item.get_closest_marker("cluster"):
            return 0
        return 1 if item.path in long_files else 2

    items.sort(key=place)
