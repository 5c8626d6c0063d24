"""Redis: a primary and its replicas, each with a stable address of its own, and the Sentinels that replace it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgs, StatefulSetUpdateStrategyArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    ContainerPortArgs,
    PersistentVolumeClaimArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    TCPSocketActionArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from hms.images import USER_IDS, reference
from hms.spec_resources import ResourceSpec
from infra.credentials import Credentials
from infra.names import (
    CONFIG_PATH,
    REDIS,
    REDIS_CREDENTIALS,
    REDIS_PORT,
    REDIS_READINESS_PORT,
    RUN_PATH,
    SECRETS_PATH,
    SENTINEL,
    SENTINEL_PORT,
    labels,
    pod_names,
)
from infra.pod import (
    claim,
    config_volume,
    container_security,
    http_probe,
    memory_volume,
    mount,
    pod_field,
    pod_security,
    resources,
    scratch_volume,
    secret_volume,
    spread,
)
from infra.redis_config import PING_PERIOD_MS, lines, patience_seconds, redis_conf, sentinel_conf, sentinel_settings
from infra.rollout import rolled_out
from infra.site import SKIP_AWAIT, Site, digest


class RedisAddresses(pulumi.ComponentResource):
    """A Service for each Redis node and each Sentinel: the addresses that they announce.

    Exports `config_map`, which has them by pod name, and `table_digest`. An address outlives its pod, so neither
    Sentinel nor a client ever waits for a name.
    """

    def __init__(self, name: str, site: Site, *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hms:redis:RedisAddresses", name, None, opts)
        self._site = site
        spec = site.spec
        nodes = self._table(REDIS, REDIS_PORT, spec.redis.nodes)
        sentinels = self._table(SENTINEL, SENTINEL_PORT, spec.sentinel.members)
        self.config_map = ConfigMap(
            "redis-config",
            metadata=site.meta("redis-config", REDIS),
            data={
                "nodes": nodes,
                "sentinels": sentinels,
                "redis.conf": redis_conf(spec.redis),
                "sentinel.conf": sentinel_conf(),
                "sentinel-settings": lines(sentinel_settings(spec.sentinel)),
                "stagger-ms": f"{spec.sentinel.stagger_ms}\n",
                "ping-period-ms": f"{PING_PERIOD_MS}\n",
                "quorum": f"{spec.sentinel.quorum}\n",
                "patience-seconds": f"{patience_seconds(spec.sentinel)}\n",
            },
            opts=site.child(self),
        )
        self.table_digest = pulumi.Output.all(nodes, sentinels).apply(lambda tables: digest("".join(tables)))
        self.register_outputs({"config_map": self.config_map.metadata.name})

    def _table(self, workload: str, port: int, count: int) -> pulumi.Output[str]:
        names = pod_names(workload, count)
        services = [self._service(name, workload, port) for name in names]
        self._headless(workload, port)
        addresses: pulumi.Output[Sequence[str]] = pulumi.Output.all(*(s.spec.cluster_ip for s in services))
        return addresses.apply(lambda found: lines(dict(zip(names, found, strict=True))))

    def _service(self, pod: str, workload: str, port: int) -> Service:
        return Service(
            f"service-{pod}",
            metadata=self._site.meta(pod, workload, annotations=SKIP_AWAIT),
            spec=ServiceSpecArgs(
                selector={"statefulset.kubernetes.io/pod-name": pod},
                publish_not_ready_addresses=True,
                ports=[ServicePortArgs(name=workload, port=port, target_port=port)],
            ),
            opts=self._site.child(self),
        )

    def _headless(self, workload: str, port: int) -> None:
        Service(
            f"service-{workload}-pods",
            metadata=self._site.meta(f"{workload}-pods", workload, annotations=SKIP_AWAIT),
            spec=ServiceSpecArgs(
                cluster_ip="None",
                selector=labels(workload),
                publish_not_ready_addresses=True,
                ports=[ServicePortArgs(name=workload, port=port, target_port=port)],
            ),
            opts=self._site.child(self),
        )


class RedisMembers(pulumi.ComponentResource):
    """The StatefulSet of the Redis nodes or of the Sentinels, with its budget and volumes."""

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        workload: str,
        replicas: int,
        port: int,
        sizes: ResourceSpec,
        storage_bytes: int,
        settings: str,
        addresses: RedisAddresses,
        credentials: Credentials,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hms:redis:RedisMembers", name, None, opts)
        self._site = site
        self._workload = workload
        self._port = port
        self._sizes = sizes
        self._secret_keys = credentials.keys[REDIS_CREDENTIALS]
        annotations = {
            "hms/config-digest": digest(settings),
            "hms/addresses-digest": addresses.table_digest,
            "hms/credentials-digest": credentials.digests[REDIS_CREDENTIALS],
        }
        volume = claim("data", storage_bytes, site.spec.storage_class, workload)
        needs = pulumi.ResourceOptions(depends_on=[addresses, credentials])
        self.stateful_set = StatefulSet(
            workload,
            metadata=site.meta(workload, workload),
            spec=self._spec(replicas, annotations, volume),
            opts=pulumi.ResourceOptions.merge(site.awaited(self), needs),
        )
        PodDisruptionBudget(
            f"{workload}-budget",
            metadata=site.meta(workload, workload),
            spec=PodDisruptionBudgetSpecArgs(
                max_unavailable=1, selector=LabelSelectorArgs(match_labels=labels(workload))
            ),
            opts=site.child(self),
        )
        rolled = rolled_out(self.stateful_set, site.cluster, timeout_seconds=site.spec.ready_timeout_seconds)
        self.register_outputs({"stateful_set": self.stateful_set.metadata.name, "rolled_out": rolled})

    def _spec(
        self, replicas: int, annotations: Mapping[str, Any], volume: PersistentVolumeClaimArgs
    ) -> StatefulSetSpecArgs:
        return StatefulSetSpecArgs(
            service_name=f"{self._workload}-pods",
            replicas=replicas,
            pod_management_policy="Parallel",
            update_strategy=StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
            selector=LabelSelectorArgs(match_labels=labels(self._workload)),
            template=PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(labels=labels(self._workload), annotations=dict(annotations)),
                spec=PodSpecArgs(
                    automount_service_account_token=False,
                    enable_service_links=False,
                    security_context=pod_security(USER_IDS[REDIS]),
                    termination_grace_period_seconds=20,
                    topology_spread_constraints=[spread(self._workload)],
                    containers=[self._container()],
                    volumes=[
                        config_volume("config", "redis-config"),
                        secret_volume("credentials", REDIS_CREDENTIALS, self._secret_keys),
                        memory_volume("run"),
                        scratch_volume("tmp"),
                    ],
                ),
            ),
            volume_claim_templates=[volume],
        )

    def _container(self) -> ContainerArgs:
        return ContainerArgs(
            name=self._workload,
            image=reference(REDIS, registry=self._site.spec.registry),
            image_pull_policy="IfNotPresent",
            command=[f"/opt/hms/{self._workload}-start"],
            env=[pod_field("POD_NAME", "metadata.name")],
            ports=[
                ContainerPortArgs(name=self._workload, container_port=self._port),
                ContainerPortArgs(name="readiness", container_port=REDIS_READINESS_PORT),
            ],
            resources=resources(self._sizes),
            security_context=container_security(),
            # By HTTP: a probe that starts a program costs more than the server that it asks.
            readiness_probe=http_probe("/", REDIS_READINESS_PORT, period_seconds=3),
            # A node that waits for the Sentinels to decide does not listen, and must not be killed for it at once.
            liveness_probe=ProbeArgs(
                tcp_socket=TCPSocketActionArgs(port=self._port),
                period_seconds=10,
                timeout_seconds=3,
                failure_threshold=12,
            ),
            volume_mounts=[
                mount("data", "/data"),
                mount("config", CONFIG_PATH, read_only=True),
                mount("credentials", SECRETS_PATH, read_only=True),
                mount("run", RUN_PATH),
                mount("tmp", "/tmp"),  # noqa: S108 - a volume of the pod's own
            ],
        )
