"""The `StackSpec`: what a stack shall be, read once from its configuration, every problem reported at once.

The keys and their defaults are in `Pulumi.yaml`; a stack's own values are in `stacks/`. Sizes are bytes, CPU is in
thousandths of a core, times carry their unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, cast

from hms.quantity import format_bytes
from hms.spec_fields import Fields, Values
from hms.spec_resources import ResourceSpec, read_resources

SECRET_KEYS: Final = (
    "postgresSuperuserPassword", "postgresReplicationPassword", "postgresRewindPassword", "postgresRestPassword",
    "postgresAppPassword", "postgresDrillPassword", "postgresTlsAuthority", "postgresTlsCertificate", "postgresTlsKey",
    "redisAppPassword", "redisReplicationPassword", "redisSentinelPassword", "redisDrillPassword",
    "appAdminKey", "appInternalKey",
)  # fmt: skip
"""The settings that `hms up` makes for a new stack; they are secrets and no part of the `StackSpec`."""

_MIB: Final = 1024**2
_GIB: Final = 1024**3

DrillPolicy = Literal["allowed", "forbidden"]
Switch = Literal["on", "off"]
SynchronousMode = Literal["off", "on", "quorum"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChoice:
    """Which cluster, always said: a test cluster of this machine by name, or a kubeconfig and its context."""

    test_cluster: str
    kubeconfig: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSpec:
    """Postgres under Patroni. The bounds of the four timers are Patroni's own: it clamps lower values silently."""

    members: int
    resources: ResourceSpec
    storage_bytes: int
    wal_storage_bytes: int
    max_connections: int
    synchronous_mode: SynchronousMode
    ttl_seconds: int
    loop_wait_seconds: int
    retry_timeout_seconds: int
    primary_start_timeout_seconds: int
    replication_timeout_seconds: int
    witness: Switch
    witness_resources: ResourceSpec

    @property
    def shared_buffers_bytes(self) -> int:
        """Return a quarter of the memory limit, in whole MiB: the manual's starting point for a server of its own."""
        return max(self.resources.memory_limit_bytes // 4 // _MIB, 16) * _MIB

    @property
    def cycle_seconds(self) -> int:
        """Return how long a live leader takes at most to renew its lease: a loop, then its tries to read and write."""
        return self.loop_wait_seconds + 2 * self.retry_timeout_seconds

    @property
    def reserved_connections(self) -> int:
        """Return how many sessions the app alone may take: three fifths, whatever else asks for sessions."""
        return self.max_connections * 3 // 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSpec:
    """One Redis primary and its replicas."""

    nodes: int
    resources: ResourceSpec
    storage_bytes: int
    max_memory_bytes: int
    min_replicas_to_write: int
    min_replicas_max_lag_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelSpec:
    """The Sentinels that replace a dead Redis primary.

    Each suspects `stagger_ms` later than the one before it: those that suspect at once may each vote for themselves.
    """

    members: int
    quorum: int
    resources: ResourceSpec
    storage_bytes: int
    down_after_ms: int
    stagger_ms: int
    failover_timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSpec:
    """The terminology service. `pool_size` and `max_concurrency` are per replica.

    Pods of `ingress_namespace` may reach it, beside the stack's own; empty: none. `trusted_proxies` of them add the
    address that they were asked from to `X-Forwarded-For`.
    """

    replicas: int
    max_replicas: int
    target_cpu_percent: int
    resources: ResourceSpec
    pool_size: int
    max_concurrency: int
    rate_limits: Switch
    trusted_proxies: int
    ingress_namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSpec:
    """All that a stack shall be. Made by `parse` alone, so that one which exists is valid."""

    stack: str
    namespace: str
    drills: DrillPolicy
    registry: str
    cluster: ClusterChoice
    storage_class: str
    api_server_cidr: str
    ready_timeout_seconds: int
    postgres: PostgresSpec
    redis: RedisSpec
    sentinel: SentinelSpec
    app: AppSpec
    load: ResourceSpec

    @classmethod
    def parse(cls, values: Values, *, stack: str, source: str) -> Self:
        """Read a stack's settings by their keys, numbers as such or as texts.

        `InvalidSpecError` lists every problem: missing and unknown keys, values out of bounds, rules that tie values
        together. Secrets (`SECRET_KEYS`) are passed over.
        """
        fields = Fields({key: value for key, value in values.items() if key not in SECRET_KEYS})
        spec = cls(
            stack=stack,
            namespace=fields.name("namespace", empty=True) or f"hms-{stack}",
            drills=cast(DrillPolicy, fields.choice("drills", ("forbidden", "allowed"))),
            registry=fields.text("registry", pattern=r"[a-z0-9][-a-z0-9._:/]*[a-z0-9]", hint="a registry and path"),
            cluster=_cluster(fields, stack),
            storage_class=fields.name("storageClass", empty=True),
            api_server_cidr=fields.text(
                "apiServerCidr", pattern=r"[0-9a-fA-F.:]+/\d{1,3}", hint="a range of addresses such as 10.0.0.0/8"
            ),
            ready_timeout_seconds=fields.integer("readyTimeoutSeconds", 10, 3600),
            postgres=_postgres(fields),
            redis=_redis(fields),
            sentinel=_sentinel(fields),
            app=_app(fields),
            load=read_resources(fields, "load", 64 * _MIB),
        )
        _rules(fields, spec)
        fields.finish(source)
        return spec


def _cluster(fields: Fields, stack: str) -> ClusterChoice:
    choice = ClusterChoice(
        test_cluster=fields.name("testCluster", empty=True),
        kubeconfig=fields.text("kubeconfig"),
        context=fields.text("context"),
    )
    both = bool(choice.kubeconfig) and bool(choice.context)
    one = bool(choice.kubeconfig) != bool(choice.context)
    fields.require(not one, "kubeconfig and context: one without the other; set both, or testCluster")
    fields.require(
        one or both or bool(choice.test_cluster),
        "kubeconfig, context: no cluster chosen (KUBECONFIG is never used); choose one with "
        f"`pulumi config set --stack {stack} kubeconfig FILE` and `pulumi config set --stack {stack} context NAME`",
    )
    return choice


def _odd(fields: Fields, key: str, value: int) -> None:
    fields.require(value % 2 == 1, f"{key}: {value} is not odd; an even number tolerates no more losses")


def _postgres(fields: Fields) -> PostgresSpec:
    spec = PostgresSpec(
        members=fields.integer("postgresMembers", 1, 9),
        resources=read_resources(fields, "postgres", 128 * _MIB),
        storage_bytes=fields.bytes("postgresStorage", 256 * _MIB, 65536 * _GIB),
        wal_storage_bytes=fields.bytes("postgresWalStorage", 256 * _MIB, 65536 * _GIB),
        max_connections=fields.integer("postgresMaxConnections", 20, 10_000),
        synchronous_mode=cast(SynchronousMode, fields.choice("postgresSynchronousMode", ("quorum", "on", "off"))),
        ttl_seconds=fields.integer("patroniTtlSeconds", 20, 3600, why="Patroni's own bound"),
        loop_wait_seconds=fields.integer("patroniLoopWaitSeconds", 1, 600, why="Patroni's own bound"),
        retry_timeout_seconds=fields.integer("patroniRetryTimeoutSeconds", 3, 600, why="Patroni's own bound"),
        primary_start_timeout_seconds=fields.integer("patroniPrimaryStartTimeoutSeconds", 0, 3600),
        replication_timeout_seconds=fields.integer("postgresReplicationTimeoutSeconds", 1, 600),
        witness=cast(Switch, fields.choice("witness", ("on", "off"))),
        witness_resources=read_resources(fields, "witness", 32 * _MIB),
    )
    _odd(fields, "postgresMembers", spec.members)
    fields.require(
        spec.cycle_seconds <= spec.ttl_seconds,
        f"patroniTtlSeconds: {spec.ttl_seconds} is below patroniLoopWaitSeconds + 2 x patroniRetryTimeoutSeconds = "
        f"{spec.cycle_seconds} (Patroni's own rule)",
    )
    fields.require(
        spec.synchronous_mode == "off" or spec.members >= 3,
        f"postgresSynchronousMode: {spec.synchronous_mode!r} needs 3 postgresMembers, not {spec.members}",
    )
    fields.require(
        spec.witness == "off" or spec.synchronous_mode == "quorum",
        f"witness: 'on' needs postgresSynchronousMode 'quorum', not {spec.synchronous_mode!r}, whose confirmations its "
        "votes hold back; set that, or witness to 'off'",
    )
    return spec


def _redis(fields: Fields) -> RedisSpec:
    spec = RedisSpec(
        nodes=fields.integer("redisNodes", 1, 9),
        resources=read_resources(fields, "redis", 16 * _MIB),
        storage_bytes=fields.bytes("redisStorage", 16 * _MIB, 65536 * _GIB),
        max_memory_bytes=fields.bytes("redisMaxMemory", 4 * _MIB, 4096 * _GIB),
        min_replicas_to_write=fields.integer("redisMinReplicasToWrite", 0, 8),
        min_replicas_max_lag_seconds=fields.integer("redisMinReplicasMaxLagSeconds", 1, 600),
    )
    room = spec.resources.memory_limit_bytes * 3 // 4
    fields.require(
        spec.max_memory_bytes <= room,
        f"redisMaxMemory: {format_bytes(spec.max_memory_bytes)} is above {format_bytes(room)}, three quarters of "
        "redisMemoryLimit (the rest is for the copy on write of a save)",
    )
    fields.require(
        spec.min_replicas_to_write < spec.nodes,
        f"redisMinReplicasToWrite: {spec.min_replicas_to_write} is not below redisNodes {spec.nodes}",
    )
    return spec


def _sentinel(fields: Fields) -> SentinelSpec:
    spec = SentinelSpec(
        members=fields.integer("sentinels", 3, 9),
        quorum=fields.integer("sentinelQuorum", 1, 9),
        resources=read_resources(fields, "sentinel", 16 * _MIB),
        storage_bytes=fields.bytes("sentinelStorage", 8 * _MIB, 1024 * _GIB),
        down_after_ms=fields.integer(
            "sentinelDownAfterMs", 500, 600_000, why="below it a busy primary is failed over for nothing"
        ),
        stagger_ms=fields.integer("sentinelStaggerMs", 0, 10_000),
        failover_timeout_ms=fields.integer("sentinelFailoverTimeoutMs", 1000, 600_000),
    )
    _odd(fields, "sentinels", spec.members)
    majority = spec.members // 2 + 1
    fields.require(
        majority <= spec.quorum <= spec.members,
        f"sentinelQuorum: {spec.quorum} is not within {majority} (the majority) to {spec.members} (all sentinels)",
    )
    return spec


def _app(fields: Fields) -> AppSpec:
    spec = AppSpec(
        replicas=fields.integer("appReplicas", 2, 100, why="one replica cannot be rolled without a gap"),
        max_replicas=fields.integer("appMaxReplicas", 2, 100),
        target_cpu_percent=fields.integer("appTargetCpuPercent", 10, 1000),
        resources=read_resources(fields, "app", 64 * _MIB),
        pool_size=fields.integer("appPoolSize", 1, 50),
        max_concurrency=fields.integer("appMaxConcurrency", 1, 10_000),
        rate_limits=cast(Switch, fields.choice("rateLimits", ("on", "off"))),
        trusted_proxies=fields.integer("appTrustedProxies", 0, 10),
        ingress_namespace=fields.name("appIngressNamespace", empty=True),
    )
    fields.require(
        spec.max_replicas >= spec.replicas,
        f"appMaxReplicas: {spec.max_replicas} is below appReplicas {spec.replicas}",
    )
    return spec


def _rules(fields: Fields, spec: StackSpec) -> None:
    """Hold the rules between parts: every app replica's pool, one more in a rolling update, fits the server."""
    # Of each replica, one connection more watches the member, and another one is there while a hung one is given up.
    wanted = (spec.app.max_replicas + 1) * (spec.app.pool_size + 2)
    fields.require(
        wanted <= spec.postgres.reserved_connections,
        f"postgresMaxConnections: three fifths of {spec.postgres.max_connections}, reserved for the app, is "
        f"{spec.postgres.reserved_connections}, below {wanted} = (appMaxReplicas {spec.app.max_replicas} + 1) x "
        f"(appPoolSize {spec.app.pool_size} + 2)",
    )


def flatten(values: Mapping[str, object], *, project: str) -> dict[str, object]:
    """Return the settings of `project` by their bare keys, from a mapping by `project:key`."""
    prefix = f"{project}:"
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
