"""An Inventory for tests that need its workloads and flows alone."""

from hms.inventory import Endpoint, Flow, Inventory, Postgres, Redis, Workload


def inventory_with(*, workloads: tuple[Workload, ...], flows: tuple[Flow, ...]) -> Inventory:
    """Return a stack of these workloads and flows."""
    return Inventory(
        stack="ci", namespace="hms-ci", drills="allowed", workloads=workloads, flows=flows,
        endpoints=(Endpoint(name="app", host="app", port=80),),
        postgres=Postgres(
            scope="postgres", database="hms", members=(), port=5432, rest_port=8008, synchronous_mode="quorum",
            settings={}, patroni={}, credentials_secret="postgres-credentials",
        ),
        redis=Redis(
            master_name="hms", nodes=(), port=6379, sentinels=(), sentinel_port=26379, quorum=2,
            settings={}, sentinel_settings={}, credentials_secret="redis-credentials",
        ),
        release="2026", codes=98_186, loadgen_image="localhost/hms/loadgen:abc", versions={},
    )  # fmt: skip
