"""The witness beside each Postgres member: the same image and user, no secret but the pod's own token, no privilege."""

from pulumi_kubernetes.core.v1 import ContainerArgs, ContainerPortArgs, EnvVarArgs

from hms.images import reference
from infra.names import APP, APP_PORT, POSTGRES, WITNESS, WITNESS_PORT, labels, pod_names
from infra.patroni_config import SOCKET_PATH
from infra.pod import container_security, http_probe, mount, pod_field, resources
from infra.site import Site


def witness_container(site: Site) -> ContainerArgs:
    """Return the container. It writes to the volume of the data, beside Postgres's own directory, and nowhere else."""
    spec = site.spec.postgres
    return ContainerArgs(
        name=WITNESS,
        image=reference(POSTGRES, registry=site.spec.registry),
        image_pull_policy="IfNotPresent",
        command=["python3", "-m", "witness"],
        env=[
            EnvVarArgs(name="PYTHONPATH", value="/opt/hms"),
            pod_field("WITNESS_MEMBER", "metadata.name"),
            pod_field("WITNESS_NAMESPACE", "metadata.namespace"),
            EnvVarArgs(name="WITNESS_MEMBERS", value=" ".join(pod_names(POSTGRES, spec.members))),
            EnvVarArgs(name="WITNESS_SCOPE", value=POSTGRES),
            EnvVarArgs(
                name="WITNESS_INSTANCES", value=",".join(f"{key}={value}" for key, value in labels(APP).items())
            ),
            EnvVarArgs(name="WITNESS_INSTANCES_PORT", value=str(APP_PORT)),
            EnvVarArgs(name="WITNESS_STALE_SECONDS", value=str(spec.cycle_seconds)),
        ],
        ports=[ContainerPortArgs(name=WITNESS, container_port=WITNESS_PORT)],
        resources=resources(spec.witness_resources),
        security_context=container_security(),
        liveness_probe=http_probe("/live", WITNESS_PORT, period_seconds=10, timeout_seconds=5),
        volume_mounts=[mount("data", "/data"), mount("socket", SOCKET_PATH)],
    )
