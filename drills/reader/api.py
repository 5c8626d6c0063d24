"""Reads through the app's API: a search, a look-up, a user's bookmarks.

An answer counts only if its content is right. Searches and look-ups may be answered from a cache, which would hide that
the database is gone: so no search of a trial is asked twice, what is looked up are codes that a search has just found,
and an answer that names the cache as its source is marked. Bookmarks are never cached.

A read changes nothing, so a client may ask again. One whose connection fails or breaks is made again on another, as
browsers and client libraries do, and so is one that has had no answer for `ANSWER_SECONDS`, as load balancers and
meshes do: until `READ_SECONDS` have passed, with a pause that is twice as long each time, `LONGEST_PAUSE_SECONDS` at
most. Their number has no bound: a Service sends a new connection to an instance by chance, also to one that refuses. An
answer that is an error is a failed read, and is not asked again.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from drills.reader.target import Found, Newest, failed
from drills.web import Addresses, Response, request
from drills.wire import AppSettings
from drills.writer.app import CODES, bookmarked, key_headers, user_of
from hms.evidence import ReaderName

READ_SECONDS = 3.0
ANSWER_SECONDS = 1.0
CONNECT_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.4

# Every pair finds something in every release of ICD-10-CM, and each limit makes it another question to a cache.
NOUNS = ("fracture", "injury", "burn", "sprain", "dislocation", "laceration", "contusion", "abrasion")
WORDS = ("left", "right", "initial", "subsequent", "sequela", "unspecified")
MOST_HITS = 100
SEARCHES = len(NOUNS) * len(WORDS) * MOST_HITS

Check = Callable[[Any], int | None]
"""Raises `ValueError` where a document is not what was asked for; returns the newest write that it shows, if any."""


class Api:
    """What the API's readers share: where the app is, the trial, and codes that searches found, with their titles."""

    def __init__(self, settings: AppSettings) -> None:
        self._settings = settings
        self._headers = key_headers(settings)
        self._addresses = Addresses()
        self.prefix = ""
        self.found: deque[tuple[str, str]] = deque(maxlen=1000)

    async def get(self, path: str, check: Check) -> Found:
        """Get `path` once, in as many attempts as it takes, and check the answer."""
        attempts, pause_seconds, last = 0, FIRST_PAUSE_SECONDS, ""
        try:
            async with asyncio.timeout(READ_SECONDS):
                while True:
                    attempts += 1
                    try:
                        response = await self._attempt(path)
                    except OSError as error:
                        last = f", the last: {type(error).__name__}"
                        await asyncio.sleep(pause_seconds)
                        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
                        continue
                    return _checked(response, check, attempts)
        except TimeoutError:
            return failed(f"no answer within {READ_SECONDS:g} s{last}", attempts=attempts)

    async def _attempt(self, path: str) -> Response:
        """Ask once: the connection must stand within `CONNECT_SECONDS`, the answer be there `ANSWER_SECONDS` later."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS) as patience:
            return await request(
                "GET", self._settings.host, self._settings.port, path, headers=self._headers,
                addresses=self._addresses, begin=lambda: patience.reschedule(loop.time() + ANSWER_SECONDS),
            )  # fmt: skip


def _checked(response: Response, check: Check, attempts: int) -> Found:
    if response.status != 200:
        return failed(f"status {response.status}", attempts=attempts)
    try:
        seen = check(response.json())
    except (OSError, ValueError, KeyError, TypeError) as error:
        return failed(f"wrong answer: {error}", attempts=attempts)
    cached = "hit" in response.headers.get("cache-status", "")
    return Found(ok=True, seen=seen, attempts=attempts, detail="cache" if cached else "")


class ApiReader:
    """One kind of request; `Api` is shared by all of them."""

    def __init__(self, name: ReaderName, api: Api) -> None:
        self.name: ReaderName = name
        self._api = api
        self._turn = 0

    async def prepare(self, prefix: str) -> None:
        """Begin the trial's searches at a place of its own, so that trials one after the other do not ask the same."""
        self._api.prefix = prefix
        self._turn = int.from_bytes(hashlib.sha256(prefix.encode()).digest()[:4])

    async def read(self, newest: Newest) -> Found:
        """Make the next request."""
        self._turn += 1
        match self.name:
            case "api-search":
                return await self._search(self._turn)
            case "api-lookup":
                return await self._look_up(self._turn)
            case _:
                return await self._bookmarks(newest())

    async def _search(self, turn: int) -> Found:
        text, limit = search_of(turn)

        def check(document: Any) -> None:
            hits = [(str(hit["code"]), str(hit["title"])) for hit in document["hits"]]
            if not 1 <= len(hits) <= limit or not all(code and title for code, title in hits):
                raise ValueError(f"{len(hits)} hits for {text!r}, 1 to {limit} with code and title were due")
            self._api.found.extend(hits)

        return await self._api.get(f"/api/v1/search?q={quote(text)}&limit={limit}", check)

    async def _look_up(self, turn: int) -> Found:
        found = self._api.found
        code, title = found.pop() if found else (CODES[turn % len(CODES)], "")

        def check(document: Any) -> None:
            said = (str(document["code"]), str(document["title"]))
            if said[0] != code or not said[1] or (title and said[1] != title):
                raise ValueError(f"{said} for {code}, {title!r}")

        return await self._api.get(f"/api/v1/codes/{quote(code)}", check)

    async def _bookmarks(self, newest: int) -> Found:
        """List the bookmarks of the user whom the newest acknowledged one belongs to."""
        number = max(0, newest) // len(CODES)
        user = user_of(self._api.prefix, number)

        def check(document: Any) -> int:
            if document["user"] != user:
                raise ValueError(f"bookmarks of {document['user']!r}, not of {user!r}")
            places = [CODES.index(code) for code in bookmarked(document)]
            return number * len(CODES) + max(places, default=-1)

        return await self._api.get(f"/api/v1/users/{user}/bookmarks", check)

    async def close(self) -> None:
        """Do nothing: every request closes its own connection."""


def search_of(turn: int) -> tuple[str, int]:
    """Return the text and the limit of a search: all `SEARCHES` of them, none twice in so many turns."""
    pair, limit = divmod(turn % SEARCHES, MOST_HITS)
    noun, word = divmod(pair, len(WORDS))
    return f"{NOUNS[noun]} {WORDS[word]}", limit + 1
