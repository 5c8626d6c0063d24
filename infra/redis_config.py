"""The settings of Redis and of Sentinel, made from the spec. Pure; passwords and addresses are added in the pod."""

from collections.abc import Mapping

from hms.spec import RedisSpec, SentinelSpec
from infra.names import REDIS_PORT, SENTINEL_PORT

PING_PERIOD_MS = 100
"""How often a Sentinel asks each node and each other Sentinel whether it lives."""


def redis_settings(spec: RedisSpec) -> dict[str, str]:
    """Return the settings by name, as `CONFIG GET` prints them.

    What `volatile-lru` evicts is what was stored with a time to live: a cache, never a limit's count or a tag.
    """
    return {
        "maxmemory": str(spec.max_memory_bytes),
        "maxmemory-policy": "volatile-lru",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "min-replicas-to-write": str(spec.min_replicas_to_write),
        "min-replicas-max-lag": str(spec.min_replicas_max_lag_seconds),
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1",
        "repl-timeout": "5",
        "repl-backlog-size": str(16 * 1024**2),
        "replica-read-only": "yes",
        "tcp-keepalive": "5",
        "shutdown-timeout": "5",
        "lazyfree-lazy-eviction": "yes",
        "lazyfree-lazy-expire": "yes",
        "enable-debug-command": "no",
        "protected-mode": "no",
        "port": str(REDIS_PORT),
        "dir": "/data",
    }


def sentinel_settings(spec: SentinelSpec) -> dict[str, str]:
    """Return the settings of the monitored primary by name, as the first Sentinel's `SENTINEL MASTER` prints them.

    The quorum is apart; what the stagger adds on the other Sentinels they add themselves.
    """
    return {
        "down-after-milliseconds": str(spec.down_after_ms),
        "failover-timeout": str(spec.failover_timeout_ms),
        "parallel-syncs": "1",
    }


def redis_conf(spec: RedisSpec) -> str:
    """Return the fixed part of a node's `redis.conf`. The append-only file is all of its persistence."""
    lines = [f"{name} {value}" for name, value in sorted(redis_settings(spec).items())]
    return "\n".join(["bind * -::*", 'save ""', "loglevel notice", *lines, ""])


def sentinel_conf() -> str:
    """Return the fixed part of a Sentinel's configuration.

    Names are never resolved: a resolver that blocks when a node dies sends Sentinel into TILT.
    """
    return "\n".join(
        [
            "bind * -::*",
            "protected-mode no",
            f"port {SENTINEL_PORT}",
            "dir /data",
            "sentinel resolve-hostnames no",
            "sentinel announce-hostnames no",
            "sentinel deny-scripts-reconfig yes",
            "",
        ]
    )


def lines(values: Mapping[str, str]) -> str:
    """Return `name value` lines, in order of name."""
    return "".join(f"{name} {value}\n" for name, value in sorted(values.items()))


def patience_seconds(spec: SentinelSpec) -> int:
    """Return how long a node that the Sentinels hold for the primary waits, when it starts, to be replaced.

    Time for detection and two elections: a failed one blocks the next for twice the failover's timeout.
    """
    slowest_ms = spec.down_after_ms + (spec.members - 1) * spec.stagger_ms
    return (slowest_ms + 3 * spec.failover_timeout_ms) // 1000 + 1
