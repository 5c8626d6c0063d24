"""More sessions than Postgres allows, asked for at once and kept for a while: run in the drill's pod.

    python -m drills.storm MEMBER SESSIONS SECONDS FILE

What became of them is left in FILE, whole, as JSON.
"""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from drills.patience import within
from drills.pg import PostgresConnection
from drills.wire import SETTINGS_VARIABLE, PostgresSettings, Settings, short_name

AT_ONCE = 50
DIAL_SECONDS = 20.0


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions were asked for, given, refused because there were too many, and not given for other reasons."""

    asked: int
    opened: int
    too_many: int
    failed: int
    last_failure: str = ""

    def in_words(self) -> str:
        """Return the counts as a sentence."""
        other = f", {self.failed} failed otherwise ({self.last_failure})" if self.failed else ""
        return f"{self.asked} sessions asked for: {self.opened} given, {self.too_many} refused as too many{other}"


def is_too_many(message: str) -> bool:
    """Say whether a server's refusal of a session is that it has none left (SQLSTATE 53300)."""
    return any(words in message for words in ("too many clients", "too many connections", "connection slots"))


async def storm(settings: PostgresSettings, member: str, sessions: int, seconds: float, *, password: str) -> Storm:
    """Ask one member for sessions, `AT_ONCE` at a time, and keep for `seconds` what is given."""
    held: list[PostgresConnection] = []
    refusals: list[str] = []
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask() -> None:
        async with turns:
            try:
                held.append(await within(DIAL_SECONDS, PostgresConnection.open(member, settings, password=password)))
            except OSError as error:
                refusals.append(str(error) or type(error).__name__)

    await asyncio.gather(*(ask() for _ in range(sessions)))
    await asyncio.sleep(seconds)
    for connection in held:
        connection.abandon()
    others = [refusal for refusal in refusals if not is_too_many(refusal)]
    return Storm(
        asked=sessions,
        opened=len(held),
        too_many=len(refusals) - len(others),
        failed=len(others),
        last_failure=others[-1].strip().splitlines()[-1] if others else "",
    )


def main() -> None:
    """Make the storm that the arguments describe, at the stack of the pod's settings."""
    target, sessions, seconds, name = sys.argv[1:]
    settings = msgspec.json.decode(os.environ[SETTINGS_VARIABLE], type=Settings).postgres
    password = Path(settings.password_file).read_text().strip()
    member = next(host for host in settings.members if short_name(host) == target)
    found = asyncio.run(storm(settings, member, int(sessions), float(seconds), password=password))
    partial = Path(f"{name}.partial")
    partial.write_bytes(msgspec.json.encode(found))
    partial.replace(name)


if __name__ == "__main__":
    main()
