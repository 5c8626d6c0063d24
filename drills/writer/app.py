"""Writes through the app's API: what its users feel."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from drills.patience import within
from drills.web import Addresses, Response, request
from drills.wire import AppSettings, WriterName
from drills.writer.target import ACKNOWLEDGED, Contents, Told

# The app retries inside its own deadline when the primary moves; a user waits longer than that before giving up.
ATTEMPT_SECONDS = 6.0
CATCH_UP_SECONDS = 20.0

# Codes that every release of ICD-10-CM has. A user bookmarks each once, so that user and code are a write's key.
CODES = (
    "A00", "A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A09",
    "E08", "E09", "E10", "E11", "E13", "I10", "I11", "I12", "I13", "I15",
)  # fmt: skip


def classify(response: Response) -> Told:
    """Return the outcome of a bookmark's response.

    A 4xx was not done. A 5xx leaves it open: the app may have lost the database after the commit was sent.
    """
    if 200 <= response.status < 300:
        return ACKNOWLEDGED
    return Told("refused" if 400 <= response.status < 500 else "unknown", f"status {response.status}")


def key_headers(settings: AppSettings) -> dict[str, str]:
    """Return the headers by which the app knows the drill."""
    return {"X-API-Key": Path(settings.key_file).read_text(encoding="utf-8").strip()}


def user_of(prefix: str, number: int) -> str:
    """Return the name of a trial's user, who bookmarks each of `CODES` once."""
    return f"drill-{hashlib.sha256(prefix.encode()).hexdigest()[:12]}-{number}"


class AppTarget:
    """Puts bookmarks: one attempt each, on a connection of its own, so that the Service spreads them over the pods."""

    name: WriterName = "app"

    def __init__(self, settings: AppSettings) -> None:
        self._settings = settings
        self._headers = key_headers(settings)
        self._addresses = Addresses()
        self._prefix = ""
        self._users = 0

    async def prepare(self, prefix: str, next_seq: int) -> None:
        """Wait until the app answers."""
        self._prefix = prefix
        self._users = -(-next_seq // len(CODES))
        seen = "no answer"
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while time.monotonic() < deadline:
            try:
                response = await within(ATTEMPT_SECONDS, self._request("GET", "/api/v1/health/ready"))
            except OSError as error:
                seen = f"{type(error).__name__}: {error}"
            else:
                if response.status == 200:
                    return
                seen = f"status {response.status}: {response.body[:200].decode(errors='replace')}"
            await asyncio.sleep(0.1)
        raise TimeoutError(f"app: not ready within {CATCH_UP_SECONDS:g} s: {seen}")

    def key(self, seq: int) -> str:
        """Return `<user>/<code>`."""
        user, code = divmod(seq, len(CODES))
        self._users = max(self._users, user + 1)
        return f"{user_of(self._prefix, user)}/{CODES[code]}"

    async def write(self, key: str, begin: Callable[[], None]) -> Told:
        """Put the bookmark `key`; one attempt."""
        user, code = key.split("/")
        begun = False

        def sending() -> None:
            nonlocal begun
            begun = True
            begin()

        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                response = await self._request("PUT", f"/api/v1/users/{user}/bookmarks/{code}", begin=sending)
        except OSError as error:
            return Told("unknown" if begun else "refused", type(error).__name__)
        return classify(response)

    async def contents(self) -> Contents:
        """Read the bookmarks back through the API until two readings agree, as its reads may come from a replica.

        A reading that fails is made again: an instance that has just come back may refuse one of its requests.
        """
        before: dict[str, int] | None = None
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while True:
                try:
                    now: dict[str, int] | None = await self._read()
                except OSError:
                    now = None
                if now is not None and now == before:
                    return Contents({"api": now}, "api")
                before = now
                await asyncio.sleep(0.25)

    async def _read(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for number in range(self._users):
            user = user_of(self._prefix, number)
            response = await self._request("GET", f"/api/v1/users/{user}/bookmarks")
            if response.status != 200:
                raise ConnectionError(f"app: bookmarks of {user}: status {response.status}")
            for code in bookmarked(response.json()):
                found[f"{user}/{code}"] = found.get(f"{user}/{code}", 0) + 1
        return found

    async def discard(self) -> None:
        """Remove this trial's bookmarks."""
        async with asyncio.timeout(CATCH_UP_SECONDS):
            for key in await self._read():
                user, code = key.split("/")
                await self._request("DELETE", f"/api/v1/users/{user}/bookmarks/{code}")

    async def close(self) -> None:
        """Do nothing: every request closes its own connection."""

    async def _request(self, method: str, path: str, *, begin: Callable[[], None] | None = None) -> Response:
        host, port = self._settings.host, self._settings.port
        return await request(method, host, port, path, begin=begin, headers=self._headers, addresses=self._addresses)


def bookmarked(document: object) -> list[str]:
    """Return the codes of a list of bookmarks as the API gives it; `OSError` where it is no such list."""
    match document:
        case {"bookmarks": list(items)}:
            return [str(item["code"] if isinstance(item, dict) else item) for item in items]
        case _:
            raise ConnectionError(f"app: not a list of bookmarks: {str(document)[:80]}")
