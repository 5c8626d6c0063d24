"""One question to one server: what a Patroni, a Redis and a Sentinel say of themselves at this moment."""

from typing import Any

from drills.observer.judgement import PostgresMember, RedisNode, SentinelView
from drills.resp import RedisConnection, fields, info
from drills.web import Addresses, request


async def ask_patroni(host: str, rest_port: int, addresses: Addresses) -> PostgresMember:
    """Ask one member's Patroni; `OSError` where it does not answer in its own words."""
    response = await request("GET", host, rest_port, "/patroni", addresses=addresses)
    document = response.json()
    if not isinstance(document, dict):
        raise ConnectionError(f"{host}: not Patroni's: {str(document)[:80]}")
    return read_patroni(document)


def read_patroni(document: dict[str, Any]) -> PostgresMember:
    """Read the body of Patroni's `GET /patroni`."""
    log = document.get("xlog") or {}
    position = max(
        (int(log.get(name) or 0) for name in ("location", "received_location", "replayed_location")), default=0
    )
    streams = [one for one in document.get("replication") or () if one.get("state") == "streaming"]
    return PostgresMember(
        state=str(document.get("state", "")),
        role=str(document.get("role", "")),
        timeline=int(document.get("timeline") or 0),
        started=str(document.get("postmaster_start_time") or ""),
        position=position,
        streaming=tuple(sorted(str(one.get("application_name")) for one in streams)),
        synchronous=tuple(
            sorted(str(one.get("application_name")) for one in streams if one.get("sync_state") in {"sync", "quorum"})
        ),
    )


async def ask_redis(connection: RedisConnection) -> RedisNode:
    """Ask one node who it is and whom it follows."""
    facts = info(await connection.ask("INFO", "server")) | info(await connection.ask("INFO", "replication"))
    return read_redis(facts)


def read_redis(facts: dict[str, str]) -> RedisNode:
    """Read the sections `server` and `replication` of `INFO`."""
    if facts.get("role") == "slave":
        up = facts.get("master_link_status") == "up"
        return RedisNode(
            role="replica",
            run_id=facts.get("run_id", ""),
            offset=int(facts.get("slave_repl_offset", 0)),
            master=f"{facts.get('master_host')}:{facts.get('master_port')}" if up else "",
        )
    return RedisNode(
        role=facts.get("role", ""),
        run_id=facts.get("run_id", ""),
        offset=int(facts.get("master_repl_offset", 0)),
        replicas=int(facts.get("connected_slaves", 0)),
    )


async def ask_sentinel(connection: RedisConnection, master_name: str) -> SentinelView:
    """Ask one Sentinel for the master, and whether it would act."""
    facts = fields(await connection.ask("SENTINEL", "MASTER", master_name))
    itself = info(await connection.ask("INFO", "sentinel"))
    return SentinelView(
        address=f"{facts.get('ip')}:{facts.get('port')}",
        flags=facts.get("flags", ""),
        replicas=int(facts.get("num-slaves", 0)),
        others=int(facts.get("num-other-sentinels", 0)),
        tilted=itself.get("sentinel_tilt") != "0",
    )
