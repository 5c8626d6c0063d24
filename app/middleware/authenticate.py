"""Who asks: the holder of an API key, the administrator, or an address.

The key comes in `X-API-Key`. The administrator's is in a file and compared in constant time; every other is known by
its digest (`app.services.key_ring`).
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api_keys import has_form
from app.errors import TimedOutError, UnavailableError
from app.limits import Tier
from app.metrics import Metrics
from app.middleware.wrong_keys import WrongKeys
from app.problems import Problem, unauthorised, unavailable
from app.services.key_ring import KeyRing

HEADER = b"x-api-key"
_LONGEST_KEY = 512
_IPV6_CLIENT_BITS = 64
"""What one client has of IPv6 addresses at least: by single addresses it would have limits without end."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `client` is whose limits are spent; `refused` showed a key that opens nothing."""

    client: str
    tier: Tier
    admin: bool = False
    refused: bool = False


ADMIN = Identity("admin", Tier.ENTERPRISE, admin=True)


class Authenticate:
    """Puts the identity into the scope as `hms.identity`.

    A key that opens nothing is not refused here: its address pays for the request first, so that keys cannot be tried
    for free (`RefuseUnknownKeys` stands behind the limits). But an address that showed too many of them has none
    looked at for a while (429), the administrator's included; a key that was good lately is answered all the same.

    On paths in `keyless` no key matters, and none is looked at. On the others in `free` only the administrator's does,
    and no key is looked up.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        ring: KeyRing,
        wrong_keys: WrongKeys,
        admin_key_file: Path | None,
        trusted_proxies: int,
        free: frozenset[str],
        keyless: frozenset[str],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._ring = ring
        self._wrong_keys = wrong_keys
        self._admin_key_file = admin_key_file
        self._trusted_proxies = trusted_proxies
        self._free = free
        self._keyless = keyless

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say why not."""
        if scope["type"] == "http":
            try:
                scope["hms.identity"] = await self._identify(scope)
            except (UnavailableError, TimedOutError) as error:
                await unavailable(str(error)).response(scope["hms.request_id"])(scope, receive, send)
                return
            except Problem as problem:
                self._metrics.limited.labels(Tier.ANONYMOUS.value, "keys").inc()
                await problem.response(scope["hms.request_id"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Identity:
        shown = forwarded = None
        for name, value in scope["headers"]:
            if name == HEADER:
                shown = value if shown is None else b""  # two keys are none
            elif name == b"x-forwarded-for":
                forwarded = value if forwarded is None else forwarded + b"," + value
        text = None
        if shown is not None and scope["path"] not in self._keyless:
            text = shown[:_LONGEST_KEY].decode("latin-1")
            if scope["path"] not in self._free and self._ring.knows(text):
                key = await self._ring.identify(text, scope["hms.deadline"])
                if key is not None:
                    return Identity(f"key:{key.id}", key.tier)
        peer = scope["client"][0] if scope.get("client") else "unknown"
        hops = forwarded.decode("latin-1").split(",") if forwarded else ()
        address = client_address(peer, hops, trusted_proxies=self._trusted_proxies)
        if text is None:
            return Identity(f"address:{address}", Tier.ANONYMOUS)
        return await self._judge(scope, text, address)

    async def _judge(self, scope: Scope, text: str, address: str) -> Identity:
        """Say who shows a key that was not good lately. Raises `Problem` if its address has no try left."""
        free = scope["path"] in self._free
        looked_up = not free and has_form(text)
        turn: AbstractAsyncContextManager[None] = nullcontext()
        if looked_up:
            turn = self._wrong_keys.turn(address, scope["hms.deadline"])
        async with turn:
            self._wrong_keys.check(address)
            if self._is_admins(text):
                return ADMIN
            # Before the look-up, so that who leaves in the middle has paid for it, too.
            self._wrong_keys.count(address)
            try:
                key = await self._ring.identify(text, scope["hms.deadline"]) if looked_up else None
            except (UnavailableError, TimedOutError):
                self._wrong_keys.give_back(address)
                raise
            if key is None:
                return Identity(f"address:{address}", Tier.ANONYMOUS, refused=not free)
            self._wrong_keys.give_back(address)
            return Identity(f"key:{key.id}", key.tier)

    def _is_admins(self, shown: str) -> bool:
        if self._admin_key_file is None:
            return False
        # Read each time: a key that was changed needs no restart. Digests, so that the length tells nothing either.
        held = self._admin_key_file.read_text(encoding="utf-8").rstrip("\n")
        return compare_digest(sha256(held.encode()).digest(), sha256(shown.encode("utf-8")).digest())


class RefuseUnknownKeys:
    """Refuses (401) who showed a key that opens nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say why not."""
        if scope["type"] == "http" and scope["hms.identity"].refused:
            problem: Problem = unauthorised("the API key is unknown, revoked or expired; without one, ask anonymously")
            await problem.response(scope["hms.request_id"])(scope, receive, send)
            return
        await self._app(scope, receive, send)


def client_address(peer: str, hops: Sequence[str], *, trusted_proxies: int) -> str:
    """Return the address that stands for a client.

    `hops` are the entries of `X-Forwarded-For`. Each trusted proxy added the address that it was asked from, at the
    right; so of the right `trusted_proxies` the leftmost is the client's, and what stands further left the client may
    have invented. With fewer entries the request did not come through all proxies: then it is the peer's.
    """
    if trusted_proxies and len(hops) >= trusted_proxies and (found := _address(hops[-trusted_proxies])) is not None:
        return found
    return _address(peer) or peer


def _address(text: str) -> str | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]  # [address]:port
    elif text.count(":") == 1:
        text = text.partition(":")[0]  # address:port
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), _IPV6_CLIENT_BITS), strict=False))
