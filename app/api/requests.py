"""What the routes share: the parts of the service, reading parameters, writing answers."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.codes import canonical
from app.db import lookup
from app.db.epoch import Epoch
from app.db.router import Router
from app.db.search_log import SearchLog
from app.db.wal import Position
from app.deadline import Deadline
from app.errors import InvalidCodeError
from app.limits import Tier
from app.metrics import Metrics
from app.middleware.authenticate import Identity
from app.middleware.concurrency import Slots
from app.problems import Problem, forbidden, invalid, unauthorised
from app.resources import Monitor
from app.services.cache import Cache, Result
from app.services.invalidation import Invalidator
from app.services.redis_cluster import RedisCluster
from app.services.tags import Tag

_ENCODER = msgspec.json.Encoder()
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts that the routes use; in the state of the Starlette application as `service`."""

    router: Router
    redis: RedisCluster
    cache: Cache
    invalidator: Invalidator
    metrics: Metrics
    enterprise: Slots
    monitor: Monitor
    search_log: SearchLog


def service_of(request: Request) -> Service:
    """Return the parts of the service that answers `request`."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def deadline_of(request: Request) -> Deadline:
    """Return the deadline of `request`."""
    deadline = request.scope["hms.deadline"]
    assert isinstance(deadline, Deadline)
    return deadline


def identity_of(request: Request) -> Identity:
    """Return who asks."""
    identity = request.scope["hms.identity"]
    assert isinstance(identity, Identity)
    return identity


def as_admin(request: Request) -> None:
    """Refuse who is not the administrator. Raises `Problem`."""
    identity = identity_of(request)
    if not identity.admin:
        raise _refusal(identity, "the administrator's key is needed, in X-API-Key")


def as_enterprise(request: Request) -> None:
    """Refuse who has neither a key of the tier enterprise nor the administrator's. Raises `Problem`."""
    identity = identity_of(request)
    if identity.tier is not Tier.ENTERPRISE:
        raise _refusal(identity, "an API key of the tier enterprise is needed, in X-API-Key")


def _refusal(identity: Identity, detail: str) -> Problem:
    return unauthorised(detail) if identity.tier is Tier.ANONYMOUS else forbidden(detail)


def code_of(request: Request) -> str:
    """Return the canonical code in the path. Raises `Problem`."""
    try:
        return canonical(request.path_params["code"])
    except InvalidCodeError as error:
        raise invalid("code", str(error)) from error


def only(request: Request, *allowed: str) -> None:
    """Refuse parameters that are not allowed or are there twice: a misspelt one would be silently ignored.

    Raises `Problem`.
    """
    for name in request.query_params:
        if name not in allowed:
            choices = ", ".join(allowed) or "none"
            raise invalid(name[:40], f"is not a parameter of this route; allowed: {choices}")
        if len(request.query_params.getlist(name)) > 1:
            raise invalid(name, "is there more than once")


def whole_of(request: Request, name: str, *, default: int, low: int, high: int) -> int:
    """Return a whole number of the query. Raises `Problem` that names the bound."""
    raw = request.query_params.get(name)
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdigit() or len(raw) > 9 or not low <= int(raw) <= high:
        raise invalid(name, f"must be a whole number from {low} to {high}")
    return int(raw)


def truth_of(request: Request, name: str) -> bool | None:
    """Return a truth value of the query, None if it is not there. Raises `Problem`."""
    raw = request.query_params.get(name)
    if raw not in {None, "true", "false"}:
        raise invalid(name, "must be true or false")
    return None if raw is None else raw == "true"


@dataclass(frozen=True, slots=True)
class Scope:
    """The release that a request asks: its name, whether it was given, and the epoch in which it is asked."""

    name: str
    given: str | None
    epoch: Epoch

    @property
    def is_current(self) -> bool:
        """Say whether the release is the current one."""
        return self.name == self.epoch.release


async def scope_of(request: Request, given: str | None) -> Scope:
    """Return the release that a request asks, `given` by name or None for the current one. Raises `Problem`."""
    if given is not None and not _RELEASE.fullmatch(given):
        raise invalid("release", "must be 1 to 100 letters, digits or any of . _ -, a letter or a digit first")
    service, deadline = service_of(request), deadline_of(request)
    epoch = await service.router.epoch_within(deadline)
    if given is None or given == epoch.release:
        return Scope(epoch.release, given, epoch)
    loaded = await service.router.read(lookup.releases, deadline)
    if given not in loaded:
        names = ", ".join(list(loaded)[-_MOST_NAMED:])
        raise invalid("release", f"{given} is not loaded; the last ones that were: {names}")
    return Scope(given, given, epoch)


def json_response(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return `value` as an answer in JSON; bytes are JSON already."""
    body = value if isinstance(value, bytes) else _ENCODER.encode(value)
    return Response(body, status, headers=headers, media_type="application/json")


async def from_cache_or(
    request: Request,
    name: str,
    make: Callable[[Position], Awaitable[tuple[bytes, bool]]],
    *,
    epoch: Epoch,
    tag: Tag,
) -> Response:
    """Answer with what the cache has under `name` in this epoch, else with what `make` makes (see `Cache.answer`).

    The answer depends on `tag`, and so on all that this depends on.
    """
    body, result = await service_of(request).cache.answer(
        name, make, epoch=str(epoch), tags=(tag.value,), deadline=deadline_of(request)
    )
    return json_response(body, headers=cache_status(hit=result is Result.HIT))


def cache_status(*, hit: bool) -> dict[str, str]:
    """Return the header that says whether the answer came from the cache (RFC 9211)."""
    return {"cache-status": "hms; hit" if hit else "hms; fwd=miss"}
