"""`/api/v1/health/live`, `/api/v1/health/ready`, `/metrics` and `/api/v1/openapi.json`: what tells of the service."""

from functools import cache
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import json_response, only, service_of
from app.api.shapes import Health
from app.openapi import Answer, document, operation

_NO_STORE = {"cache-control": "no-store"}


@operation(tag="operation", answers={200: Answer(Health)}, free=True)
async def live(request: Request) -> Response:
    """Say that the process serves requests; tied to nothing else, because a restart would mend nothing else."""
    del request
    return json_response(Health(status="live"), headers=_NO_STORE)


@operation(tag="operation", answers={200: Answer(Health), 503: Answer(Health)}, free=True)
async def ready(request: Request) -> Response:
    """Say whether reads are answered: a member of the database answered a probe just now and has a release.

    Not tied to the cache, nor to a primary: while a failover lasts, reads go on. Probes are made in the background,
    so a queue at the database does not take the instance out of the service that works it off.
    """
    if request.app.state.drain.begun:
        return json_response(Health(status="stopping", reason="SIGTERM"), status=503, headers=_NO_STORE)
    router = service_of(request).router
    release = router.release
    if release is None or not router.ready:
        health = Health(status="not ready", reason="no member of the database answers with a release that is loaded")
        return json_response(health, status=503, headers=_NO_STORE)
    return json_response(Health(status="ready", release=release), headers=_NO_STORE)


@operation(tag="operation", answers={200: Answer(str, media="text/plain")}, free=True)
async def metrics(request: Request) -> Response:
    """Give all figures in Prometheus' text format."""
    return Response(service_of(request).metrics.exposition(), headers={"content-type": CONTENT_TYPE_LATEST})


@operation(tag="operation", answers={200: Answer(dict[str, Any])})
async def openapi(request: Request) -> Response:
    """Give this description of the routes, OpenAPI 3.1."""
    only(request)
    return json_response(_description(request.app))


@cache
def _description(app: Starlette) -> bytes:
    return msgspec.json.encode(document(app.routes))
