"""An Inventory of a small stack."""

from hms.inventory import Container, Endpoint, Inventory, Limits, Postgres, Redis, Role, Workload

LIMITS = Limits(cpu_request_millicores=1, cpu_limit_millicores=1, memory_request_bytes=1, memory_limit_bytes=1)


def workload(role: Role) -> Workload:
    container = Container(name=role, image="i", user_id=1000, ports=(1,), limits=LIMITS)
    pods = tuple(f"{role}-{number}" for number in range(3))
    return Workload(
        name=role, kind="StatefulSet", role=role, replicas=3, selector={"app.kubernetes.io/name": role}, pods=pods,
        containers=(container,),
    )  # fmt: skip


def inventory(*, drills: str = "allowed") -> Inventory:
    return Inventory(
        stack="test",
        namespace="hms-test",
        drills="allowed" if drills == "allowed" else "forbidden",
        workloads=(workload("postgres"), workload("redis"), workload("sentinel"), workload("app")),
        endpoints=(Endpoint(name="app", host="app", port=80),),
        flows=(),
        postgres=Postgres(
            scope="postgres", database="hms", members=("postgres-0.postgres-pods",), port=5432, rest_port=8008,
            synchronous_mode="quorum", settings={}, patroni={}, credentials_secret="postgres-credentials",
        ),
        redis=Redis(
            master_name="hms", nodes=("redis-0",), port=6379, sentinels=("sentinel-0",), sentinel_port=26379, quorum=2,
            settings={"min-replicas-to-write": "1"}, sentinel_settings={}, credentials_secret="redis-credentials",
        ),
        release="r",
        codes=1,
        loadgen_image="localhost/hms/loadgen:1",
        versions={},
    )  # fmt: skip
