"""Who may speak to whom: one list, from which both the NetworkPolicies and the Inventory are made. Pure."""

from collections.abc import Sequence

from hms.inventory import Flow
from hms.spec import StackSpec
from infra.names import (
    APP,
    APP_PORT,
    DRILL_WRITER,
    LOAD_DATA,
    LOADGEN,
    LOCUST_PORT,
    PATRONI_PORT,
    POSTGRES,
    POSTGRES_PORT,
    REDIS,
    REDIS_PORT,
    SENTINEL,
    SENTINEL_PORT,
    WITNESS_PORT,
)

_STACK = (
    (APP, POSTGRES, POSTGRES_PORT),
    (APP, REDIS, REDIS_PORT),
    (APP, SENTINEL, SENTINEL_PORT),
    (LOAD_DATA, POSTGRES, POSTGRES_PORT),
    (POSTGRES, POSTGRES, POSTGRES_PORT),
    (POSTGRES, POSTGRES, PATRONI_PORT),
    (REDIS, REDIS, REDIS_PORT),
    (REDIS, SENTINEL, SENTINEL_PORT),
    (SENTINEL, REDIS, REDIS_PORT),
    (SENTINEL, SENTINEL, SENTINEL_PORT),
    (LOADGEN, APP, APP_PORT),
    (LOADGEN, LOADGEN, LOCUST_PORT),
)
_WITNESSES = ((POSTGRES, APP, APP_PORT),)
"""They ask each instance of the service whether it says anything."""
_DRILLS = (
    (DRILL_WRITER, POSTGRES, POSTGRES_PORT),
    (DRILL_WRITER, POSTGRES, PATRONI_PORT),
    (DRILL_WRITER, POSTGRES, WITNESS_PORT),
    (DRILL_WRITER, REDIS, REDIS_PORT),
    (DRILL_WRITER, SENTINEL, SENTINEL_PORT),
    (DRILL_WRITER, APP, APP_PORT),
)


def flows(spec: StackSpec) -> tuple[Flow, ...]:
    """Return the connections that are allowed; witnesses, and a drill's writer, have their own where there are any."""
    witnesses = _WITNESSES if spec.postgres.witness == "on" else ()
    allowed = _STACK + witnesses + (_DRILLS if spec.drills == "allowed" else ())
    return tuple(Flow(source=source, target=target, port=port) for source, target, port in allowed)


def sources(allowed: Sequence[Flow], target: str) -> dict[int, tuple[str, ...]]:
    """Return who may reach `target`, by port."""
    ports = sorted({flow.port for flow in allowed if flow.target == target})
    return {port: tuple(f.source for f in allowed if f.target == target and f.port == port) for port in ports}


def targets(allowed: Sequence[Flow], source: str) -> dict[str, tuple[int, ...]]:
    """Return whom `source` may reach, each with its ports."""
    names = sorted({flow.target for flow in allowed if flow.source == source})
    return {name: tuple(f.port for f in allowed if f.source == source and f.target == name) for name in names}
