"""`/api/v1/health/resources`: what this instance uses, for the administrator."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import as_admin, json_response, only, service_of
from app.api.shapes import PoolUse, Resources, SlotUse
from app.middleware.concurrency import Slots
from app.openapi import Answer, operation


@operation(tag="health", key="admin", free=True, answers={200: Answer(Resources)}, problems={400, 401, 403, 429})
async def get_resources(request: Request) -> Response:
    """Say what this instance uses, and of how much."""
    as_admin(request)
    only(request)
    service = service_of(request)
    monitor = service.monitor
    pools = [
        PoolUse(server=str(member.address), in_use=member.pool.in_use, idle=member.pool.idle, limit=member.pool.size)
        for member in service.router.members
    ] + [
        PoolUse(server=str(node.address), in_use=node.in_use, idle=node.pool_size - node.in_use, limit=node.pool_size)
        for node in service.redis.nodes
    ]
    body = Resources(
        requests=_use(monitor.slots),
        enterprise=_use(service.enterprise),
        oldest_request_seconds=round(monitor.oldest_request_seconds(), 3),
        connections=monitor.connections(),
        connections_limit=monitor.connections_limit,
        pools=pools,
        memory_bytes=monitor.memory_bytes(),
        memory_limit_bytes=monitor.memory_limit_bytes,
        event_loop_lag_ms=round(monitor.lag_seconds * 1000, 1),
        kept={name: len(store) for name, store in monitor.stores.items()},
    )
    return json_response(body, headers={"cache-control": "no-store"})


def _use(slots: Slots) -> SlotUse:
    return SlotUse(
        active=slots.in_use,
        waiting=slots.waiting,
        limit=slots.most,
        utilisation=round(slots.in_use / slots.most, 4),
    )
