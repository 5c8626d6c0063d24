"""When the generator may begin: not while a connection is not answered."""

import socket
import threading
import time

from loadtests.reach import await_reach
from tests.loadtests.locust_process import free_port


def test_it_begins_as_soon_as_every_connection_stands() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        began = time.monotonic()
        assert await_reach(f"http://127.0.0.1:{server.getsockname()[1]}")
        assert time.monotonic() - began < 1


def test_it_waits_for_who_is_not_there_yet() -> None:
    port = free_port()
    listening = threading.Event()

    def come_later() -> None:
        time.sleep(0.3)
        with socket.create_server(("127.0.0.1", port), backlog=64):
            listening.wait(10)

    thread = threading.Thread(target=come_later)
    thread.start()
    try:
        began = time.monotonic()
        assert await_reach(f"http://127.0.0.1:{port}")
        assert time.monotonic() - began > 0.2
    finally:
        listening.set()
        thread.join()


def test_it_does_not_wait_for_ever() -> None:
    assert not await_reach(f"http://127.0.0.1:{free_port()}", patience_seconds=0.2)
