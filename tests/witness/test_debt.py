"""What a standby owes: asked of two Patronis, which here are servers of a line of JSON."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from witness.debt import Debt, flushed_of_primary, has_flushed, patroni_says

PRIMARY, STANDBY = "127.0.0.2", "127.0.0.1"


def primary(location: int) -> dict[str, Any]:
    return {"role": "primary", "state": "running", "xlog": {"location": location}}


def standby(received: int) -> dict[str, Any]:
    return {"role": "replica", "state": "running", "xlog": {"received_location": received, "replayed_location": 1}}


async def serving(address: str, port: int, says: Callable[[], bytes]) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + says())
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, address, port)


def test_it_is_paid_once_the_standby_has_flushed_what_the_primary_had_when_it_was_asked() -> None:
    async def run() -> list[bool]:
        at = {"primary": 700, "standby": 500}
        first = await serving(STANDBY, 0, lambda: json.dumps(standby(at["standby"])).encode())
        port = first.sockets[0].getsockname()[1]
        second = await serving(PRIMARY, port, lambda: json.dumps(primary(at["primary"])).encode())
        async with first, second:
            debt, paid = Debt(port), []
            paid.append(await debt.is_paid(PRIMARY))
            at.update(primary=900, standby=699)
            paid.append(await debt.is_paid(PRIMARY))
            at.update(standby=700)
            paid.append(await debt.is_paid(PRIMARY))
            debt.begin()
            paid.append(await debt.is_paid(PRIMARY))
            return paid

    assert asyncio.run(run()) == [False, False, True, False]


def test_nobody_who_does_not_say_has_paid() -> None:
    assert not asyncio.run(Debt(1).is_paid(PRIMARY))
    assert not asyncio.run(Debt(1).is_paid(""))


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"{"])
def test_what_is_no_status_is_an_error(text: bytes) -> None:
    async def run() -> None:
        server = await serving(STANDBY, 0, lambda: text)
        async with server:
            await patroni_says(STANDBY, server.sockets[0].getsockname()[1])

    with pytest.raises(ValueError, match=r"no status|Expecting"):
        asyncio.run(run())


@pytest.mark.parametrize("status", [{}, {"role": "replica", "xlog": {"location": 7}}, {"role": "primary", "xlog": []}])
def test_who_is_no_primary_owes_nobody_a_position(status: dict[str, Any]) -> None:
    assert flushed_of_primary(status) is None


@pytest.mark.parametrize("status", [{}, {"role": "primary", "xlog": {"received_location": 9}}, {"role": "replica"}])
def test_who_is_no_standby_has_flushed_nothing(status: dict[str, Any]) -> None:
    assert not has_flushed(status, 1)
    assert has_flushed(standby(1), 1)
