"""The `Inventory`: what a `pulumi up` made, as its one stack output.

Smoke, load and drills know the stack through this noun alone. It holds names, declared limits and declared timers,
never a secret's value. What is *effective* is read back from the running engines and lands in the evidence.
"""

from typing import Literal

import msgspec

from hms.errors import EvidenceError

API_KEY_SECRET = "app-credentials"  # noqa: S105 - a Secret's name
API_KEY = "internal-key"
"""Where the load generator and the drills find the API key that the stack made for them."""

Role = Literal["postgres", "redis", "sentinel", "app"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one container may use: CPU in thousandths of a core, memory in bytes."""

    cpu_request_millicores: int
    cpu_limit_millicores: int
    memory_request_bytes: int
    memory_limit_bytes: int


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """One container of a workload as declared."""

    name: str
    image: str
    user_id: int
    ports: tuple[int, ...]
    limits: Limits


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """One StatefulSet or Deployment: who it is and how its pods are found.

    `selector` are the labels that all of its pods bear. `pods` are the names of a StatefulSet's pods, empty for a
    Deployment, whose pods' names are not known beforehand.
    """

    name: str
    kind: Literal["StatefulSet", "Deployment"]
    role: Role
    replicas: int
    selector: dict[str, str]
    pods: tuple[str, ...] = ()
    containers: tuple[Container, ...]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An address inside the cluster: `name` is one of `postgres-primary`, `postgres-replicas`, `app`."""

    name: str
    host: str
    port: int


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that the NetworkPolicies allow, from pods of a workload to a port of another's."""

    source: str
    target: str
    port: int


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    """What Patroni and Postgres were told.

    `settings` are server settings by name as `SHOW` would print them; `patroni` the dynamic configuration's timers in
    seconds by name (`ttl`, `loop_wait`, `retry_timeout`, ...). `members` are host names, in ordinal order.
    """

    scope: str
    database: str
    members: tuple[str, ...]
    port: int
    rest_port: int
    synchronous_mode: Literal["off", "on", "quorum"]
    settings: dict[str, str]
    patroni: dict[str, int]
    credentials_secret: str


class Redis(msgspec.Struct, frozen=True, kw_only=True):
    """What Redis and its Sentinels were told; the settings are as `CONFIG GET` and `SENTINEL MASTER` print them.

    The `down-after-milliseconds` of the n-th Sentinel, from 0, is n times `sentinel_stagger_ms` longer.
    """

    master_name: str
    nodes: tuple[str, ...]
    port: int
    sentinels: tuple[str, ...]
    sentinel_port: int
    quorum: int
    settings: dict[str, str]
    sentinel_settings: dict[str, str]
    sentinel_stagger_ms: int = 0
    credentials_secret: str

    def settings_of_sentinel(self, pod: str) -> dict[str, str]:
        """Return the settings of the Sentinel in a pod: those of all, with what its ordinal adds."""
        later_ms = int(pod.rpartition("-")[2]) * self.sentinel_stagger_ms
        down_after_ms = int(self.sentinel_settings["down-after-milliseconds"]) + later_ms
        return {**self.sentinel_settings, "down-after-milliseconds": str(down_after_ms)}


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """All that a check, a load or a drill needs to know of a stack."""

    schema: Literal[1] = 1
    stack: str
    namespace: str
    drills: Literal["allowed", "forbidden"]
    workloads: tuple[Workload, ...]
    endpoints: tuple[Endpoint, ...]
    flows: tuple[Flow, ...]
    postgres: Postgres
    redis: Redis
    release: str
    codes: int
    loadgen_image: str
    versions: dict[str, str]

    def workload(self, name: str) -> Workload:
        """Return the workload of that name; `EvidenceError` if the stack has none."""
        for workload in self.workloads:
            if workload.name == name:
                return workload
        known = ", ".join(w.name for w in self.workloads)
        raise EvidenceError(f"inventory of stack {self.stack}: no workload {name!r}; it has {known}")

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of that name; `EvidenceError` if the stack has none."""
        for endpoint in self.endpoints:
            if endpoint.name == name:
                return endpoint
        known = ", ".join(e.name for e in self.endpoints)
        raise EvidenceError(f"inventory of stack {self.stack}: no endpoint {name!r}; it has {known}")


def decode_inventory(data: bytes, *, source: str) -> Inventory:
    """Read an inventory from JSON; `EvidenceError` names `source` and the first field that does not fit."""
    try:
        return msgspec.json.decode(data, type=Inventory)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(
            f"{source}: not an inventory of schema 1: {error}",
            remedy="Was the stack made by another version? Run `hms up` again.",
        ) from error
