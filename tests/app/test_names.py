"""Names that a resolver answers late, never, or with no: what is known is used, and the resolver is asked once."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.names import Names

Answer = Callable[[str], Awaitable[list[str]]]


def asked_of(answer: Answer, trial: Callable[[Names], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a trial with a resolver that answers so; return the hosts that it was asked for."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: None, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        return [(0, 0, 0, "", (address, 0)) for address in await answer(host)]

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        await trial(Names())

    asyncio.run(run())
    return asked


class Resolver:
    """Answers with `addresses`; None is no answer at all, an empty list that there is no such name."""

    def __init__(self) -> None:
        self.addresses: list[str] | None = ["10.0.0.1"]

    async def __call__(self, host: str) -> list[str]:
        if self.addresses is None:
            await asyncio.Event().wait()
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return list(dict.fromkeys(self.addresses or []))


def test_a_new_address_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver()

    async def trial(names: Names) -> None:
        assert await names.of("postgres-0") == ("10.0.0.1",)
        resolver.addresses = ["10.0.0.9", "10.0.0.8"]
        assert await names.of("postgres-0") == ("10.0.0.9", "10.0.0.8")

    assert asked_of(resolver, trial, monkeypatch) == ["postgres-0"] * 2


def test_a_silent_resolver_is_asked_once_and_what_is_known_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver()

    async def trial(names: Names) -> None:
        await names.of("postgres-0")
        resolver.addresses = None
        for _ in range(3):
            assert await asyncio.gather(*(names.of("postgres-0") for _ in range(5))) == [("10.0.0.1",)] * 5

    assert asked_of(resolver, trial, monkeypatch) == ["postgres-0"] * 2


def test_who_gives_up_waiting_leaves_the_question_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver()
    resolver.addresses = None

    async def trial(names: Names) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await names.of("sentinel-0")

    assert asked_of(resolver, trial, monkeypatch) == ["sentinel-0"]


def test_a_name_that_is_gone_is_believed_and_one_that_cannot_be_told_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver()

    async def trial(names: Names) -> None:
        await names.of("postgres-0")
        resolver.addresses = []
        with pytest.raises(socket.gaierror, match="not known"):
            await names.of("postgres-0")
        resolver.addresses = ["10.0.0.2"]
        assert await names.of("postgres-0") == ("10.0.0.2",)

        async def fail(host: str, port: None, **_: object) -> None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
        assert await names.of("postgres-0") == ("10.0.0.2",)

    asked_of(resolver, trial, monkeypatch)
