"""`/api/v1/health/resources`: what this instance uses, for the administrator."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import as_admin, json_response, only, service_of
from app.api.shapes import PoolUse, Resources, SlotUse
from app.middleware.concurrency import Slots
from app.openapi import Answer, operation
from app.services.redis_node import Node
from app.settings import Address


@operation(tag="health", key="admin", free=True, answers={200: Answer(Resources)}, problems={400, 401, 403, 429})
async def get_resources(request: Request) -> Response:
    """Say what this instance uses, and of how much."""
    as_admin(request)
    only(request)
    service = service_of(request)
    monitor = service.monitor
    pools = [
        _pool(member.address, wanted=member.pool.in_use, idle=member.pool.idle, limit=member.pool.size)
        for member in service.router.members
    ] + [pool_of(node) for node in service.redis.nodes]
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


def pool_of(node: Node) -> PoolUse:
    """Return the use of the connections to a Redis node, all of which are opened before they are needed."""
    return _pool(node.address, wanted=node.in_use, idle=max(0, node.pool_size - node.in_use), limit=node.pool_size)


def _pool(server: Address, *, wanted: int, idle: int, limit: int) -> PoolUse:
    """Tell the connections that are in use from the requests that wait for one: `wanted` counts both."""
    in_use = min(wanted, limit)
    return PoolUse(server=str(server), in_use=in_use, waiting=wanted - in_use, idle=idle, limit=limit)


def _use(slots: Slots) -> SlotUse:
    return SlotUse(
        active=slots.in_use,
        waiting=slots.waiting,
        limit=slots.most,
        utilisation=round(slots.in_use / slots.most, 4),
    )
