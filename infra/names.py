"""The names that the components share: workloads, Services, ports, labels, Secrets and where they are mounted."""

from typing import Final

from hms.inventory import API_KEY_SECRET

PART_OF: Final = "hms"
POSTGRES: Final = "postgres"
POSTGRES_REPLICAS: Final = "postgres-replicas"
POSTGRES_PODS: Final = "postgres-pods"
REDIS: Final = "redis"
SENTINEL: Final = "sentinel"
WITNESS: Final = "witness"
APP: Final = "app"
LOAD_DATA: Final = "load-data"
LOADGEN: Final = "loadgen"
DRILL_WRITER: Final = "drill-writer"

POSTGRES_PORT: Final = 5432
PATRONI_PORT: Final = 8008
WITNESS_PORT: Final = 8009
HOLD_PREFIX: Final = "witness.hms/hold-"
"""How the annotation begins by which a witness holds the `sync` record, as `witness/record.py` writes it."""
REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
REDIS_READINESS_PORT: Final = 8079
APP_PORT: Final = 8080
APP_SERVICE_PORT: Final = 80
LOCUST_PORT: Final = 5557

DATABASE: Final = "hms"
REDIS_MASTER: Final = "hms"

POSTGRES_CREDENTIALS: Final = "postgres-credentials"
POSTGRES_TLS: Final = "postgres-tls"
REDIS_CREDENTIALS: Final = "redis-credentials"
APP_CREDENTIALS: Final = API_KEY_SECRET
SECRETS_PATH: Final = "/etc/hms/secrets"
TLS_PATH: Final = "/etc/hms/tls"
CONFIG_PATH: Final = "/etc/hms/config"
RUN_PATH: Final = "/run/hms"

PATRONI_LABELS: Final = {"application": "patroni", "cluster-name": POSTGRES}


def labels(workload: str) -> dict[str, str]:
    """Return the labels that every pod of a workload bears, and by which it is selected."""
    return {"app.kubernetes.io/part-of": PART_OF, "app.kubernetes.io/name": workload}


def pod_names(workload: str, count: int) -> tuple[str, ...]:
    """Return the names of a StatefulSet's pods in ordinal order."""
    return tuple(f"{workload}-{ordinal}" for ordinal in range(count))
