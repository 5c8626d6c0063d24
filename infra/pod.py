"""What all pods of the stack have in common: no privilege, limits, spread over nodes, secrets as files."""

from collections.abc import Mapping, Sequence
from typing import Final

from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    HTTPGetActionArgs,
    KeyToPathArgs,
    ObjectFieldSelectorArgs,
    PersistentVolumeClaimArgs,
    PersistentVolumeClaimSpecArgs,
    PodSecurityContextArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    TopologySpreadConstraintArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from hms.inventory import Limits
from hms.quantity import format_bytes, format_millicores
from hms.spec_resources import ResourceSpec
from infra.names import labels

# Owner and group may read, no one else; the pod's fsGroup makes the group its own.
SECRET_MODE: Final = 0o440


def pod_security(user_id: int) -> PodSecurityContextArgs:
    """Return the security context of a pod under the "restricted" Pod Security standard."""
    return PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user_id,
        run_as_group=user_id,
        fs_group=user_id,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> SecurityContextArgs:
    """Return the security context of a container: no capability, no escalation, a root file system it cannot write."""
    return SecurityContextArgs(
        privileged=False,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=CapabilitiesArgs(drop=["ALL"]),
    )


def resources(spec: ResourceSpec) -> ResourceRequirementsArgs:
    """Return requests and limits in the form that the API server keeps, so that nothing differs on the next look."""
    return ResourceRequirementsArgs(
        requests={
            "cpu": format_millicores(spec.cpu_request_millicores),
            "memory": format_bytes(spec.memory_request_bytes),
        },
        limits={
            "cpu": format_millicores(spec.cpu_limit_millicores),
            "memory": format_bytes(spec.memory_limit_bytes),
        },
    )


def limits(spec: ResourceSpec) -> Limits:
    """Return the same as the Inventory has it."""
    return Limits(
        cpu_request_millicores=spec.cpu_request_millicores,
        cpu_limit_millicores=spec.cpu_limit_millicores,
        memory_request_bytes=spec.memory_request_bytes,
        memory_limit_bytes=spec.memory_limit_bytes,
    )


def spread(workload: str, *, strict: bool = True) -> TopologySpreadConstraintArgs:
    """Return the rule that a workload's pods are spread over nodes; `strict` rather leaves one unscheduled."""
    return TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key="kubernetes.io/hostname",
        when_unsatisfiable="DoNotSchedule" if strict else "ScheduleAnyway",
        label_selector=LabelSelectorArgs(match_labels=labels(workload)),
    )


def environment(values: Mapping[str, str]) -> list[EnvVarArgs]:
    """Return plain environment variables, in order of name."""
    return [EnvVarArgs(name=name, value=value) for name, value in sorted(values.items())]


def pod_field(name: str, path: str) -> EnvVarArgs:
    """Return an environment variable that holds a field of the pod itself."""
    return EnvVarArgs(
        name=name, value_from=EnvVarSourceArgs(field_ref=ObjectFieldSelectorArgs(api_version="v1", field_path=path))
    )


def secret_volume(name: str, secret: str, keys: Sequence[str]) -> VolumeArgs:
    """Return a volume with those keys of a Secret, one file each."""
    items = [KeyToPathArgs(key=key, path=key) for key in keys]
    return VolumeArgs(
        name=name, secret=SecretVolumeSourceArgs(secret_name=secret, items=items, default_mode=SECRET_MODE)
    )


def config_volume(name: str, config_map: str) -> VolumeArgs:
    """Return a volume with a ConfigMap's keys, one file each."""
    return VolumeArgs(name=name, config_map=ConfigMapVolumeSourceArgs(name=config_map, default_mode=0o444))


def memory_volume(name: str, size: str = "8Mi") -> VolumeArgs:
    """Return a volume in memory: what is written there never reaches a disk, and goes with the pod."""
    return VolumeArgs(name=name, empty_dir=EmptyDirVolumeSourceArgs(medium="Memory", size_limit=size))


def scratch_volume(name: str, size: str = "64Mi") -> VolumeArgs:
    """Return a volume for temporary files."""
    return VolumeArgs(name=name, empty_dir=EmptyDirVolumeSourceArgs(size_limit=size))


def mount(name: str, path: str, *, read_only: bool = False) -> VolumeMountArgs:
    """Return the mount of a volume."""
    return VolumeMountArgs(name=name, mount_path=path, read_only=read_only)


def claim(name: str, size_bytes: int, storage_class: str, workload: str) -> PersistentVolumeClaimArgs:
    """Return the template of a volume claim; an empty `storage_class` is the cluster's default."""
    return PersistentVolumeClaimArgs(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=ObjectMetaArgs(name=name, labels=labels(workload)),
        spec=PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=storage_class or None,
            resources=VolumeResourceRequirementsArgs(requests={"storage": format_bytes(size_bytes)}),
        ),
    )


def http_probe(path: str, port: int, *, period_seconds: int, timeout_seconds: int = 2, failures: int = 3) -> ProbeArgs:
    """Return a probe by HTTP."""
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port=port),
        period_seconds=period_seconds,
        timeout_seconds=timeout_seconds,
        failure_threshold=failures,
    )
