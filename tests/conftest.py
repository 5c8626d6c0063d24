"""What all rooms' tests share: the one proved stack, and the order that lets them share it."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs the proved stack last, and what ends it at the very end."""

    def place(item: pytest.Item) -> int:
        if "proof" not in getattr(item, "fixturenames", ()):
            return 0
        return 2 if item.get_closest_marker("ends_the_stack") else 1

    items.sort(key=place)
