"""The Job that migrates the schema, loads the release and keeps the stack's own API key; `up` waits until it has."""

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, PodTemplateSpecArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from hms.images import USER_IDS, reference
from hms.inventory import API_KEY
from infra.app import postgres_environment, postgres_volumes
from infra.credentials import Credentials
from infra.names import APP, APP_CREDENTIALS, LOAD_DATA, LOADGEN, SECRETS_PATH, labels
from infra.pod import container_security, environment, mount, pod_security, resources, secret_volume
from infra.site import Site, digest

_KEYS = f"{SECRETS_PATH}/app"
_COMMAND = (
    f"python -m app.load && exec python -m app.keys keep --name {LOADGEN} --tier internal --key-file {_KEYS}/{API_KEY}"
)


class DataLoad(pulumi.ComponentResource):
    """One run of `python -m app.load`, which changes nothing where the release is already there, and `app.keys keep`.

    The Job's name carries a digest of the image and of its environment: what changes makes a new Job, what does not
    leaves the finished one alone. Another key makes it anew, too; the one before opens nothing any more.
    """

    def __init__(
        self, name: str, site: Site, *, credentials: Credentials, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hms:data:DataLoad", name, None, opts)
        spec = site.spec
        image = reference(APP, registry=spec.registry)
        variables = postgres_environment(spec)
        volumes, mounts = postgres_volumes()
        container = ContainerArgs(
            name=LOAD_DATA,
            image=image,
            image_pull_policy="IfNotPresent",
            command=["sh", "-c", _COMMAND],
            env=environment(variables),
            resources=resources(spec.load),
            security_context=container_security(),
            volume_mounts=[*mounts, mount("app-credentials", _KEYS, read_only=True)],
        )
        mark = digest(f"{image} {_COMMAND} {sorted(variables.items())} {spec.load}")[:10]
        options = pulumi.ResourceOptions(depends_on=[credentials])
        self.job = Job(
            LOAD_DATA,
            metadata=site.meta(f"{LOAD_DATA}-{mark}", LOAD_DATA),
            spec=JobSpecArgs(
                backoff_limit=3,
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels=labels(LOAD_DATA),
                        annotations={"hms/app-credentials-digest": credentials.digests[APP_CREDENTIALS]},
                    ),
                    spec=PodSpecArgs(
                        restart_policy="Never",
                        automount_service_account_token=False,
                        enable_service_links=False,
                        security_context=pod_security(USER_IDS[APP]),
                        containers=[container],
                        volumes=[*volumes, secret_volume("app-credentials", APP_CREDENTIALS, [API_KEY])],
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions.merge(site.awaited(self), options),
        )
        self.register_outputs({"job": self.job.metadata.name})
