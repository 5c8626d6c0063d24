"""`python -m app.keys`: make, keep, list and revoke API keys, where the database is and no administrator's key.

    python -m app.keys make --name NAME --tier TIER [--days DAYS]     prints the new key, once
    python -m app.keys keep --name NAME --tier TIER --key-file FILE   keeps a key made elsewhere, the only one of its
                                                                      name from then on; again changes nothing
    python -m app.keys list
    python -m app.keys revoke ID

Exit code 0, 1 if it failed, 2 for bad settings or arguments.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg

from app.api_keys import LONGEST_NAME, ApiKey, digest_of, has_form, new_key
from app.db import api_keys
from app.db.connection import Connection
from app.db.router import Router
from app.deadline import Deadline
from app.errors import AppError, SettingsError, UnavailableError
from app.limits import KEY_TIERS, Tier
from app.logs import configure
from app.settings import Settings, from_environment

_MOST_DAYS = 36_500
"""Of a key that expires: a century, long before the end of what a date can say."""

_PAGE = 1000
_ATTEMPT_SECONDS = 30.0


async def run(settings: Settings, wanted: argparse.Namespace) -> list[str]:
    """Do what is wanted; return the lines that say it. Raises `AppError` and `psycopg.Error`."""
    router = Router(
        settings.postgres, statement_timeout_seconds=_ATTEMPT_SECONDS, retried=lambda _: None, chosen=lambda *_: None
    )
    await router.start()
    try:
        return await _COMMANDS[wanted.command](router, Deadline(seconds=settings.load_wait_seconds), wanted)
    finally:
        await router.stop()


async def _make(router: Router, deadline: Deadline, wanted: argparse.Namespace) -> list[str]:
    key = new_key()
    kept = await router.write(_put(key, wanted), deadline)
    return [_line(kept), key]


async def _keep(router: Router, deadline: Deadline, wanted: argparse.Namespace) -> list[str]:
    key = wanted.key_file.read_text(encoding="utf-8").strip()
    if not has_form(key):
        raise UnavailableError(f"{wanted.key_file} holds no API key: hms_ and 43 letters, digits, - or _")
    kept = await router.write(_put(key, wanted), deadline)
    if not kept.is_good():
        raise UnavailableError(f"API key {kept.id} is revoked, and stays so: make another one")
    # The key that had this name before was exchanged for this one.
    old = [other for other in await _all(router, deadline) if other.name == kept.name and other.id != kept.id]
    for other in old:
        if other.revoked_at is None:
            await router.write(partial(api_keys.revoke, key_id=other.id), deadline)
    return [_line(kept)]


async def _list(router: Router, deadline: Deadline, wanted: argparse.Namespace) -> list[str]:
    del wanted
    return [_line(key) for key in await _all(router, deadline)]


async def _all(router: Router, deadline: Deadline) -> list[ApiKey]:
    keys: list[ApiKey] = []
    while page := await router.read(
        partial(api_keys.listed, after=keys[-1].id if keys else "", limit=_PAGE), deadline, fresh=True
    ):
        keys += page
    return keys


async def _revoke(router: Router, deadline: Deadline, wanted: argparse.Namespace) -> list[str]:
    revoked = await router.write(partial(api_keys.revoke, key_id=wanted.id), deadline)
    if revoked is None:
        raise UnavailableError(f"there is no API key {wanted.id}: `python -m app.keys list` shows them")
    return [_line(revoked)]


_COMMANDS = {"make": _make, "keep": _keep, "list": _list, "revoke": _revoke}


def _put(key: str, wanted: argparse.Namespace) -> Callable[[Connection], Awaitable[ApiKey]]:
    expires_at = datetime.now(UTC) + timedelta(days=wanted.days) if wanted.days is not None else None
    return lambda connection: api_keys.put(
        connection, digest=digest_of(key), name=wanted.name, tier=Tier(wanted.tier), expires_at=expires_at
    )


def _line(key: ApiKey) -> str:
    times = (("expires", key.expires_at), ("revoked", key.revoked_at))
    notes = [f"{word} {time.isoformat(timespec='seconds')}" for word, time in times if time is not None]
    return "  ".join([key.id, f"{key.tier.value:<13}", key.name, *notes])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.keys", description="Make, list and revoke API keys.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("make", "make a key and print it"), ("keep", "keep a key that was made elsewhere")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--name", required=True, type=_name)
        command.add_argument("--tier", required=True, choices=[tier.value for tier in KEY_TIERS])
        command.add_argument("--days", type=_days, help="until it expires; without, it does not")
        if name == "keep":
            command.add_argument("--key-file", required=True, type=Path)
    commands.add_parser("list", help="list the keys")
    commands.add_parser("revoke", help="revoke a key").add_argument("id")
    return parser


def _name(text: str) -> str:
    if not 1 <= len(text) <= LONGEST_NAME:
        raise argparse.ArgumentTypeError(f"has {len(text)} characters, 1 to {LONGEST_NAME} are allowed")
    return text


def _days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_DAYS)) else 0
    if not 1 <= days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of days from 1 to {_MOST_DAYS:,}")
    return days


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    configure()
    wanted = _parser().parse_args(arguments)
    try:
        lines = asyncio.run(run(from_environment(os.environ), wanted))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (AppError, psycopg.Error, OSError) as error:
        print(f"app.keys: {str(error).strip()}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
