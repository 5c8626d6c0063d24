"""The `Inventory` of a stack, made from its spec alone. Pure."""

from hms import __version__
from hms.images import USER_IDS, reference
from hms.inventory import Container, Endpoint, Inventory, Postgres, Redis, Role, Workload
from hms.spec import StackSpec
from hms.spec_resources import ResourceSpec
from infra.app import postgres_hosts
from infra.flows import flows
from infra.names import (
    APP,
    APP_PORT,
    APP_SERVICE_PORT,
    DATABASE,
    LOADGEN,
    PATRONI_PORT,
    POSTGRES,
    POSTGRES_CREDENTIALS,
    POSTGRES_PORT,
    POSTGRES_REPLICAS,
    REDIS,
    REDIS_CREDENTIALS,
    REDIS_MASTER,
    REDIS_PORT,
    REDIS_READINESS_PORT,
    SENTINEL,
    SENTINEL_PORT,
    WITNESS,
    WITNESS_PORT,
    labels,
    pod_names,
)
from infra.patroni_config import dynamic_timers, server_settings
from infra.pod import limits
from infra.redis_config import redis_settings, sentinel_settings

RELEASE = "icd-10-cm-2026-04"
CODES = 98_186
"""What the package simple-icd-10-cm 1.5.0 carries; the load refuses any other number."""


def _stateful(
    spec: StackSpec,
    role: Role,
    *,
    image: str,
    replicas: int,
    sizes: ResourceSpec,
    ports: tuple[int, ...],
    beside: tuple[Container, ...] = (),
) -> Workload:
    container = Container(
        name=role,
        image=reference(image, registry=spec.registry),
        user_id=USER_IDS[image],
        ports=ports,
        limits=limits(sizes),
    )
    return Workload(
        name=role,
        kind="StatefulSet",
        role=role,
        replicas=replicas,
        selector=labels(role),
        pods=pod_names(role, replicas),
        containers=(container, *beside),
    )


def _witness(spec: StackSpec) -> tuple[Container, ...]:
    if spec.postgres.witness == "off":
        return ()
    container = Container(
        name=WITNESS,
        image=reference(POSTGRES, registry=spec.registry),
        user_id=USER_IDS[POSTGRES],
        ports=(WITNESS_PORT,),
        limits=limits(spec.postgres.witness_resources),
    )
    return (container,)


def _app(spec: StackSpec) -> Workload:
    container = Container(
        name=APP,
        image=reference(APP, registry=spec.registry),
        user_id=USER_IDS[APP],
        ports=(APP_PORT,),
        limits=limits(spec.app.resources),
    )
    return Workload(
        name=APP,
        kind="Deployment",
        role="app",
        replicas=spec.app.replicas,
        selector=labels(APP),
        containers=(container,),
    )


def _postgres(spec: StackSpec) -> Postgres:
    return Postgres(
        scope=POSTGRES,
        database=DATABASE,
        members=postgres_hosts(spec),
        port=POSTGRES_PORT,
        rest_port=PATRONI_PORT,
        synchronous_mode=spec.postgres.synchronous_mode,
        settings=server_settings(spec.postgres),
        patroni=dynamic_timers(spec.postgres),
        credentials_secret=POSTGRES_CREDENTIALS,
    )


def _redis(spec: StackSpec) -> Redis:
    return Redis(
        master_name=REDIS_MASTER,
        nodes=pod_names(REDIS, spec.redis.nodes),
        port=REDIS_PORT,
        sentinels=pod_names(SENTINEL, spec.sentinel.members),
        sentinel_port=SENTINEL_PORT,
        quorum=spec.sentinel.quorum,
        settings=redis_settings(spec.redis),
        sentinel_settings=sentinel_settings(spec.sentinel),
        sentinel_stagger_ms=spec.sentinel.stagger_ms,
        credentials_secret=REDIS_CREDENTIALS,
    )


def inventory(spec: StackSpec) -> Inventory:
    """Return what a stack of that spec consists of, as declared."""
    return Inventory(
        stack=spec.stack,
        namespace=spec.namespace,
        drills=spec.drills,
        workloads=(
            _stateful(
                spec,
                "postgres",
                image=POSTGRES,
                replicas=spec.postgres.members,
                sizes=spec.postgres.resources,
                ports=(POSTGRES_PORT, PATRONI_PORT),
                beside=_witness(spec),
            ),
            _stateful(
                spec,
                "redis",
                image=REDIS,
                replicas=spec.redis.nodes,
                sizes=spec.redis.resources,
                ports=(REDIS_PORT, REDIS_READINESS_PORT),
            ),
            _stateful(
                spec,
                "sentinel",
                image=REDIS,
                replicas=spec.sentinel.members,
                sizes=spec.sentinel.resources,
                ports=(SENTINEL_PORT, REDIS_READINESS_PORT),
            ),
            _app(spec),
        ),
        endpoints=(
            Endpoint(name="postgres-primary", host=POSTGRES, port=POSTGRES_PORT),
            Endpoint(name="postgres-replicas", host=POSTGRES_REPLICAS, port=POSTGRES_PORT),
            Endpoint(name="app", host=APP, port=APP_SERVICE_PORT),
        ),
        flows=flows(spec),
        postgres=_postgres(spec),
        redis=_redis(spec),
        release=RELEASE,
        codes=CODES,
        loadgen_image=reference(LOADGEN, registry=spec.registry),
        versions={"hms": __version__},
    )
