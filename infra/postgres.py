"""Postgres under Patroni: a StatefulSet whose members elect their primary through the Kubernetes API."""

from typing import Any

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgs, StatefulSetUpdateStrategyArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from hms.images import USER_IDS, reference
from infra.credentials import Credentials
from infra.held_record import held_record
from infra.marked_instance import marked_instance
from infra.names import (
    CONFIG_PATH,
    PATRONI_LABELS,
    PATRONI_PORT,
    POSTGRES,
    POSTGRES_CREDENTIALS,
    POSTGRES_PODS,
    POSTGRES_PORT,
    POSTGRES_REPLICAS,
    POSTGRES_TLS,
    RUN_PATH,
    SECRETS_PATH,
    TLS_PATH,
    labels,
)
from infra.own_pod import own_pod
from infra.patroni_config import SOCKET_PATH, render
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
from infra.rollout import rolled_out
from infra.site import SKIP_AWAIT, Site, digest
from infra.witness import witness_container


class PostgresCluster(pulumi.ComponentResource):
    """A primary and its replicas, their Services, volumes, rights and budget.

    The Service `postgres` has no selector: Patroni itself writes its Endpoints, which are also where it keeps the
    leader's key. They are Patroni's, never Pulumi's.
    """

    def __init__(
        self, name: str, site: Site, *, credentials: Credentials, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hms:postgres:PostgresCluster", name, None, opts)
        self._site = site
        self._credentials = credentials
        self._services()
        rights = self._rights()
        rules = (
            [*held_record(site, self), *own_pod(site, self), *marked_instance(site, self)] if self._witnesses else []
        )
        configuration = render(site.spec.postgres)
        config_map = ConfigMap(
            "postgres-config",
            metadata=site.meta("postgres-config", POSTGRES),
            data={"patroni.yml": configuration},
            opts=site.child(self),
        )
        self.stateful_set = self._stateful_set(digest(configuration), [*rights, *rules, config_map])
        PodDisruptionBudget(
            "postgres-budget",
            metadata=site.meta(POSTGRES, POSTGRES),
            spec=PodDisruptionBudgetSpecArgs(
                max_unavailable=1, selector=LabelSelectorArgs(match_labels=labels(POSTGRES))
            ),
            opts=site.child(self),
        )
        rolled = rolled_out(self.stateful_set, site.cluster, timeout_seconds=site.spec.ready_timeout_seconds)
        self.register_outputs({"stateful_set": self.stateful_set.metadata.name, "rolled_out": rolled})

    def _services(self) -> None:
        postgres = ServicePortArgs(name=POSTGRES, port=POSTGRES_PORT, target_port=POSTGRES_PORT)
        patroni = ServicePortArgs(name="patroni", port=PATRONI_PORT, target_port=PATRONI_PORT)
        self._service(POSTGRES, ServiceSpecArgs(ports=[postgres]))
        # Without a Service of its name the control plane may remove the Endpoints that hold Patroni's configuration.
        self._service(f"{POSTGRES}-config", ServiceSpecArgs(cluster_ip="None"))
        self._service(
            POSTGRES_REPLICAS, ServiceSpecArgs(ports=[postgres], selector={**PATRONI_LABELS, "role": "replica"})
        )
        self._service(
            POSTGRES_PODS,
            ServiceSpecArgs(
                cluster_ip="None",
                publish_not_ready_addresses=True,
                ports=[postgres, patroni],
                selector=labels(POSTGRES),
            ),
        )

    def _service(self, name: str, spec: ServiceSpecArgs) -> None:
        Service(
            f"service-{name}",
            metadata=self._site.meta(name, POSTGRES, annotations=SKIP_AWAIT, extra=PATRONI_LABELS),
            spec=spec,
            opts=self._site.child(self),
        )

    def _rights(self) -> list[pulumi.Resource]:
        """Give Patroni what it uses: Endpoints (its store, and the primary's address) and its own pods' labels.

        The witnesses use no more of these; they also mark instances of the service, within `marked_instance`.
        """
        # To read a status tells no more than to read its pod, and `kubectl` reads before it patches.
        marking = PolicyRuleArgs(api_groups=[""], resources=["pods/status"], verbs=["get", "patch"])
        meta = self._site.meta(POSTGRES, POSTGRES)
        account = ServiceAccount(
            "postgres-account", metadata=meta, automount_service_account_token=False, opts=self._site.child(self)
        )
        role = Role(
            "postgres-role",
            metadata=meta,
            rules=[
                PolicyRuleArgs(api_groups=[""], resources=["endpoints"], verbs=["create", "list", "watch"]),
                PolicyRuleArgs(
                    api_groups=[""],
                    resources=["endpoints"],
                    resource_names=[POSTGRES, *(f"{POSTGRES}-{kind}" for kind in ("config", "failover", "sync"))],
                    verbs=["get", "patch", "update"],
                ),
                PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["get", "list", "watch", "patch"]),
                *([marking] if self._witnesses else []),
            ],
            opts=self._site.child(self),
        )
        binding = RoleBinding(
            "postgres-role-binding",
            metadata=meta,
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=POSTGRES),
            subjects=[SubjectArgs(kind="ServiceAccount", name=POSTGRES, namespace=self._site.spec.namespace)],
            opts=self._site.child(self),
        )
        return [account, role, binding]

    def _stateful_set(self, config_digest: str, needs: list[pulumi.Resource]) -> StatefulSet:
        spec = self._site.spec
        options = pulumi.ResourceOptions.merge(
            self._site.awaited(self), pulumi.ResourceOptions(depends_on=[*needs, self._credentials])
        )
        return StatefulSet(
            POSTGRES,
            metadata=self._site.meta(POSTGRES, POSTGRES),
            spec=StatefulSetSpecArgs(
                service_name=POSTGRES_PODS,
                replicas=spec.postgres.members,
                pod_management_policy="Parallel",
                update_strategy=StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
                selector=LabelSelectorArgs(match_labels=labels(POSTGRES)),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels={**labels(POSTGRES), **PATRONI_LABELS},
                        annotations=self._annotations(config_digest),
                    ),
                    spec=self._pod(),
                ),
                volume_claim_templates=[
                    claim("data", spec.postgres.storage_bytes, spec.storage_class, POSTGRES),
                    claim("wal", spec.postgres.wal_storage_bytes, spec.storage_class, POSTGRES),
                ],
            ),
            opts=options,
        )

    def _annotations(self, config_digest: str) -> dict[str, Any]:
        return {
            "hms/config-digest": config_digest,
            "hms/credentials-digest": self._credentials.digests[POSTGRES_CREDENTIALS],
            "hms/tls-digest": self._credentials.digests[POSTGRES_TLS],
        }

    def _pod(self) -> PodSpecArgs:
        keys = self._credentials.keys
        return PodSpecArgs(
            service_account_name=POSTGRES,
            automount_service_account_token=True,
            enable_service_links=False,
            security_context=pod_security(USER_IDS[POSTGRES]),
            # A primary that stops writes a checkpoint and waits for its standbys to have it.
            termination_grace_period_seconds=60,
            topology_spread_constraints=[spread(POSTGRES)],
            # The witness stops its own standby's receiver: it sees its processes, and has their user.
            share_process_namespace=self._witnesses or None,
            containers=[self._container(), *([witness_container(self._site)] if self._witnesses else [])],
            volumes=[
                config_volume("config", "postgres-config"),
                secret_volume("credentials", POSTGRES_CREDENTIALS, keys[POSTGRES_CREDENTIALS]),
                secret_volume("tls", POSTGRES_TLS, keys[POSTGRES_TLS]),
                memory_volume("run"),
                memory_volume("socket"),
                memory_volume("shared-memory", "64Mi"),
                scratch_volume("tmp", "256Mi"),
            ],
        )

    @property
    def _witnesses(self) -> bool:
        return self._site.spec.postgres.witness == "on"

    def _container(self) -> ContainerArgs:
        environment: list[EnvVarArgs] = [
            pod_field("POD_IP", "status.podIP"),
            pod_field("PATRONI_NAME", "metadata.name"),
            pod_field("PATRONI_KUBERNETES_NAMESPACE", "metadata.namespace"),
            pod_field("PATRONI_KUBERNETES_POD_IP", "status.podIP"),
            EnvVarArgs(name="PATRONI_POSTGRESQL_CONNECT_ADDRESS", value=f"$(POD_IP):{POSTGRES_PORT}"),
            EnvVarArgs(name="PATRONI_RESTAPI_CONNECT_ADDRESS", value=f"$(POD_IP):{PATRONI_PORT}"),
            EnvVarArgs(name="PGHOST", value=SOCKET_PATH),
        ]
        return ContainerArgs(
            name=POSTGRES,
            image=reference(POSTGRES, registry=self._site.spec.registry),
            image_pull_policy="IfNotPresent",
            command=["/opt/hms/start"],
            env=environment,
            ports=[
                ContainerPortArgs(name=POSTGRES, container_port=POSTGRES_PORT),
                ContainerPortArgs(name="patroni", container_port=PATRONI_PORT),
            ],
            resources=resources(self._site.spec.postgres.resources),
            security_context=container_security(),
            # A new member first copies the whole primary; Patroni's own loop is alive all the while.
            startup_probe=http_probe("/liveness", PATRONI_PORT, period_seconds=1, failures=120),
            readiness_probe=http_probe("/readiness", PATRONI_PORT, period_seconds=2),
            liveness_probe=http_probe("/liveness", PATRONI_PORT, period_seconds=10, timeout_seconds=5, failures=6),
            volume_mounts=[
                mount("data", "/data"),
                mount("wal", "/wal"),
                mount("config", CONFIG_PATH, read_only=True),
                mount("credentials", SECRETS_PATH, read_only=True),
                mount("tls", TLS_PATH, read_only=True),
                mount("run", RUN_PATH),
                mount("socket", SOCKET_PATH),
                mount("shared-memory", "/dev/shm"),  # noqa: S108 - a volume of the pod's own
                mount("tmp", "/tmp"),  # noqa: S108 - a volume of the pod's own
            ],
        )
