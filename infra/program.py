"""The program: read the spec, make the components in their order, export the Inventory."""

from pathlib import Path
from typing import Any, cast

import msgspec
import pulumi
from pulumi.runtime.config import CONFIG, get_config_env
from pulumi_kubernetes import Provider

from hms.errors import UsageError
from hms.inventory import Inventory
from hms.kubectl import Kubectl
from hms.paths import cluster_context, cluster_kubeconfig
from hms.spec import SECRET_KEYS, ClusterChoice, StackSpec, flatten
from infra.app import TerminologyService
from infra.credentials import Credentials
from infra.data import DataLoad
from infra.inventory import inventory
from infra.names import REDIS, REDIS_PORT, SENTINEL, SENTINEL_PORT
from infra.namespace import RestrictedNamespace
from infra.network import NetworkRules
from infra.postgres import PostgresCluster
from infra.redis import RedisAddresses, RedisMembers
from infra.redis_config import redis_conf, sentinel_conf, sentinel_settings
from infra.site import Site


def read_spec(project: str, stack: str) -> StackSpec:
    """Return the stack's spec from Pulumi's configuration; `InvalidSpecError` has every problem.

    Without the stack's secrets nothing can be made: `UsageError` names the command that makes them.
    """
    given = flatten({**get_config_env(), **CONFIG.get()}, project=project)
    spec = StackSpec.parse(given, stack=stack, source=f"stack {stack}")
    missing = [key for key in SECRET_KEYS if key not in given]
    if missing:
        raise UsageError(
            f"stack {stack}: {len(missing)} of its {len(SECRET_KEYS)} secrets are not set: {', '.join(missing)}",
            remedy=f"Run `hms up --stack {stack}`: it makes them, by `pulumi config set --secret`.",
        )
    return spec


def cluster_access(choice: ClusterChoice) -> tuple[Path, str]:
    """Return the kubeconfig and context that the spec chose; the environment's KUBECONFIG has no say."""
    if choice.kubeconfig:
        path, context = Path(choice.kubeconfig).expanduser(), choice.context
    else:
        path, context = cluster_kubeconfig(choice.test_cluster), cluster_context(choice.test_cluster)
    if not path.is_file():
        remedy = "Name another with `pulumi config set kubeconfig FILE`."
        if not choice.kubeconfig:
            remedy = f"Run `hms cluster up --name {choice.test_cluster}` first."
        raise UsageError(f"kubeconfig {path}: no such file", remedy=remedy)
    return path, context


def build(spec: StackSpec, *, config: pulumi.Config, provider: pulumi.ProviderResource, cluster: Kubectl) -> Inventory:
    """Declare every resource of the stack and return its Inventory."""

    def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(providers=[provider], depends_on=list(resources))

    place = RestrictedNamespace("namespace", spec, opts=after())
    site = Site(spec=spec, cluster=cluster, namespace=place.namespace)
    network = NetworkRules("network", site, opts=after(place))
    credentials = Credentials("credentials", site, config=config, opts=after(place))
    postgres = PostgresCluster("postgres", site, credentials=credentials, opts=after(network))
    addresses = RedisAddresses("redis-addresses", site, opts=after(place))
    RedisMembers(
        "redis",
        site,
        workload=REDIS,
        replicas=spec.redis.nodes,
        port=REDIS_PORT,
        sizes=spec.redis.resources,
        storage_bytes=spec.redis.storage_bytes,
        settings=redis_conf(spec.redis),
        addresses=addresses,
        credentials=credentials,
        opts=after(network),
    )
    RedisMembers(
        "sentinel",
        site,
        workload=SENTINEL,
        replicas=spec.sentinel.members,
        port=SENTINEL_PORT,
        sizes=spec.sentinel.resources,
        storage_bytes=spec.sentinel.storage_bytes,
        settings=f"{sentinel_conf()}{sentinel_settings(spec.sentinel)}{spec.sentinel}",
        addresses=addresses,
        credentials=credentials,
        opts=after(network),
    )
    # The schema is there before the app that needs it, on the first day as in an update.
    data = DataLoad("data", site, credentials=credentials, opts=after(postgres))
    TerminologyService("app", site, credentials=credentials, opts=after(data))
    return inventory(spec)


def run() -> None:
    """Run the program for the stack that Pulumi was called for."""
    config = pulumi.Config()
    spec = read_spec(pulumi.get_project(), pulumi.get_stack())
    kubeconfig, context = cluster_access(spec.cluster)
    provider = Provider("cluster", kubeconfig=str(kubeconfig), context=context, namespace=spec.namespace)
    cluster = Kubectl(kubeconfig, context, namespace=spec.namespace)
    made = build(spec, config=config, provider=provider, cluster=cluster)
    pulumi.export("inventory", cast(dict[str, Any], msgspec.to_builtins(made)))
