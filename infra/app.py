"""The terminology service and the Job that loads its data: one image, one way to reach Postgres."""

from typing import Any

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.autoscaling.v2 import (
    CrossVersionObjectReferenceArgs,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerSpecArgs,
    MetricSpecArgs,
    MetricTargetArgs,
    ResourceMetricSourceArgs,
)
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    SleepActionArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from hms.images import USER_IDS, reference
from hms.spec import StackSpec
from infra.credentials import Credentials
from infra.names import (
    APP,
    APP_CREDENTIALS,
    APP_PORT,
    APP_SERVICE_PORT,
    DATABASE,
    POSTGRES,
    POSTGRES_CREDENTIALS,
    POSTGRES_PODS,
    POSTGRES_PORT,
    POSTGRES_TLS,
    REDIS_CREDENTIALS,
    REDIS_MASTER,
    SECRETS_PATH,
    SENTINEL,
    SENTINEL_PORT,
    TLS_PATH,
    labels,
    pod_names,
)
from infra.pod import (
    container_security,
    environment,
    http_probe,
    mount,
    pod_security,
    resources,
    scratch_volume,
    secret_volume,
    spread,
)
from infra.site import SKIP_AWAIT, Site

_POSTGRES_SECRETS = f"{SECRETS_PATH}/postgres"
_REDIS_SECRETS = f"{SECRETS_PATH}/redis"
_APP_SECRETS = f"{SECRETS_PATH}/app"


def postgres_hosts(spec: StackSpec) -> tuple[str, ...]:
    """Return the members' host names, which their certificate has, in ordinal order."""
    return tuple(f"{pod}.{POSTGRES_PODS}" for pod in pod_names(POSTGRES, spec.postgres.members))


def postgres_environment(spec: StackSpec) -> dict[str, str]:
    """Return how the app finds and trusts Postgres."""
    return {
        "HMS_POSTGRES_HOSTS": ",".join(f"{host}:{POSTGRES_PORT}" for host in postgres_hosts(spec)),
        "HMS_POSTGRES_DATABASE": DATABASE,
        "HMS_POSTGRES_USER": "app",
        "HMS_POSTGRES_PASSWORD_FILE": f"{_POSTGRES_SECRETS}/app-password",
        "HMS_POSTGRES_CA_FILE": f"{TLS_PATH}/ca.crt",
        "HMS_POSTGRES_POOL_SIZE": str(spec.app.pool_size),
    }


def app_environment(spec: StackSpec) -> dict[str, str]:
    """Return the environment of the app: where things are, and what it may use of them; never a secret's value."""
    sentinels = pod_names(SENTINEL, spec.sentinel.members)
    return {
        **postgres_environment(spec),
        "HMS_LISTEN_HOST": "0.0.0.0",  # noqa: S104 - the pod's own network; who may reach it, the policies say
        "HMS_LISTEN_PORT": str(APP_PORT),
        "HMS_REDIS_SENTINELS": ",".join(f"{name}:{SENTINEL_PORT}" for name in sentinels),
        "HMS_REDIS_MASTER": REDIS_MASTER,
        "HMS_REDIS_USER": "app",
        "HMS_REDIS_PASSWORD_FILE": f"{_REDIS_SECRETS}/app-password",
        "HMS_SENTINEL_USER": "app",
        "HMS_SENTINEL_PASSWORD_FILE": f"{_REDIS_SECRETS}/app-password",
        "HMS_MAX_CONCURRENCY": str(spec.app.max_concurrency),
        "HMS_RATE_LIMITS": spec.app.rate_limits,
        # As many as there can be: while Redis is away, all together let no more through than the whole.
        "HMS_INSTANCES": str(spec.app.max_replicas),
        "HMS_TRUSTED_PROXIES": str(spec.app.trusted_proxies),
        "HMS_ADMIN_KEY_FILE": f"{_APP_SECRETS}/admin-key",
    }


def postgres_volumes() -> tuple[list[VolumeArgs], list[VolumeMountArgs]]:
    """Return the volumes of what the app needs to reach Postgres, and their mounts: one password, one authority."""
    volumes = [
        secret_volume("postgres-credentials", POSTGRES_CREDENTIALS, ["app-password"]),
        secret_volume("postgres-tls", POSTGRES_TLS, ["ca.crt"]),
        scratch_volume("tmp"),
    ]
    mounts = [
        mount("postgres-credentials", _POSTGRES_SECRETS, read_only=True),
        mount("postgres-tls", TLS_PATH, read_only=True),
        mount("tmp", "/tmp"),  # noqa: S108 - a volume of the pod's own
    ]
    return volumes, mounts


class TerminologyService(pulumi.ComponentResource):
    """The app: its Deployment, Service, budget and autoscaler.

    A rolling update adds a pod before it takes one away, and a pod that is to go answers for some seconds more, until
    every node has heard of it: no request fails.
    """

    def __init__(
        self, name: str, site: Site, *, credentials: Credentials, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hms:app:TerminologyService", name, None, opts)
        self._site = site
        self._credentials = credentials
        Service(
            "service-app",
            metadata=site.meta(APP, APP, annotations=SKIP_AWAIT),
            spec=ServiceSpecArgs(
                selector=labels(APP),
                ports=[ServicePortArgs(name="http", port=APP_SERVICE_PORT, target_port=APP_PORT)],
            ),
            opts=site.child(self),
        )
        self.deployment = self._deployment()
        PodDisruptionBudget(
            "app-budget",
            metadata=site.meta(APP, APP),
            spec=PodDisruptionBudgetSpecArgs(max_unavailable=1, selector=LabelSelectorArgs(match_labels=labels(APP))),
            opts=site.child(self),
        )
        self._autoscaler()
        self.register_outputs({"deployment": self.deployment.metadata.name})

    def _deployment(self) -> Deployment:
        annotations: dict[str, Any] = {
            "hms/postgres-credentials-digest": self._credentials.digests[POSTGRES_CREDENTIALS],
            "hms/redis-credentials-digest": self._credentials.digests[REDIS_CREDENTIALS],
            "hms/app-credentials-digest": self._credentials.digests[APP_CREDENTIALS],
            "hms/tls-digest": self._credentials.digests[POSTGRES_TLS],
        }
        # The autoscaler sets the number of replicas; the spec's is where it starts.
        scaled = pulumi.ResourceOptions(ignore_changes=["spec.replicas"], depends_on=[self._credentials])
        return Deployment(
            APP,
            metadata=self._site.meta(APP, APP),
            spec=DeploymentSpecArgs(
                replicas=self._site.spec.app.replicas,
                selector=LabelSelectorArgs(match_labels=labels(APP)),
                strategy=DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
                ),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels=labels(APP), annotations=annotations), spec=self._pod()
                ),
            ),
            opts=pulumi.ResourceOptions.merge(self._site.awaited(self), scaled),
        )

    def _pod(self) -> PodSpecArgs:
        spec = self._site.spec
        volumes, mounts = postgres_volumes()
        redis = secret_volume("redis-credentials", REDIS_CREDENTIALS, ["app-password"])
        keys = secret_volume("app-credentials", APP_CREDENTIALS, ["admin-key"])
        container = ContainerArgs(
            name=APP,
            image=reference(APP, registry=spec.registry),
            image_pull_policy="IfNotPresent",
            env=environment(app_environment(spec)),
            ports=[ContainerPortArgs(name="http", container_port=APP_PORT)],
            resources=resources(spec.app.resources),
            security_context=container_security(),
            startup_probe=http_probe("/api/v1/health/live", APP_PORT, period_seconds=1, failures=60),
            readiness_probe=http_probe("/api/v1/health/ready", APP_PORT, period_seconds=2),
            liveness_probe=http_probe("/api/v1/health/live", APP_PORT, period_seconds=10, timeout_seconds=5),
            lifecycle=LifecycleArgs(pre_stop=LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=3))),
            volume_mounts=[
                *mounts,
                mount("redis-credentials", _REDIS_SECRETS, read_only=True),
                mount("app-credentials", _APP_SECRETS, read_only=True),
            ],
        )
        return PodSpecArgs(
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pod_security(USER_IDS[APP]),
            # Before SIGTERM 3 s, then a drain of 2 s, then the longest request that the app allows, 60 s, and a second.
            termination_grace_period_seconds=70,
            topology_spread_constraints=[spread(APP, strict=False)],
            containers=[container],
            volumes=[*volumes, redis, keys],
        )

    def _autoscaler(self) -> None:
        app = self._site.spec.app
        target = MetricTargetArgs(type="Utilization", average_utilization=app.target_cpu_percent)
        HorizontalPodAutoscaler(
            "app-autoscaler",
            metadata=self._site.meta(APP, APP),
            spec=HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=CrossVersionObjectReferenceArgs(api_version="apps/v1", kind="Deployment", name=APP),
                min_replicas=app.replicas,
                max_replicas=app.max_replicas,
                metrics=[MetricSpecArgs(type="Resource", resource=ResourceMetricSourceArgs(name="cpu", target=target))],
            ),
            opts=pulumi.ResourceOptions.merge(
                self._site.child(self), pulumi.ResourceOptions(depends_on=[self.deployment])
            ),
        )
