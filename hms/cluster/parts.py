"""The daemons of each machine, and the files that configure them. Nothing here does I/O: text in, text out."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hms.cluster.addresses import Addresses
from hms.cluster.layout import CONTROL, INSIDE, Layout, node_name

API_PORT = 6443
RELAY_FD = 3

STORAGE_CLASS = "hms-local"


@dataclass(frozen=True, slots=True)
class Part:
    """One daemon of a machine. It starts once everything in `wait_for` is there.

    A `unix` path or a `tcp` address is once something listens, a `file` once it exists.

    One that `serves_host` gets the machine's listening socket on the host as file descriptor `RELAY_FD`. `environment`
    is added to the machine's own.
    """

    name: str
    argv: tuple[str, ...]
    wait_for: tuple[Mapping[str, Any], ...] = ()
    serves_host: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A machine: its daemons in the order of their start, and its configuration files by path."""

    machine: str
    parts: tuple[Part, ...]
    files: dict[Path, str] = field(default_factory=dict)
    listen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the plans of one cluster depend on."""

    layout: Layout
    addresses: Addresses
    nodes: int
    api_port: int
    binaries: Mapping[str, str]
    cni_directory: Path
    pause_image: str
    node_memory_bytes: int
    total_memory_bytes: int
    can_lower_oom_score: bool

    @property
    def api_server(self) -> str:
        """Return the API server's address on the wire."""
        return f"{self.addresses.control}:{API_PORT}"


def kubeconfig(settings: Settings, identity: str, server: str, *, context: str = "hms") -> str:
    """Return the kubeconfig of one identity of the cluster; keys stay in their files."""
    pki = settings.layout.pki
    return yaml.safe_dump({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority": str(pki / "ca.crt")}}
        ],
        "users": [{"name": context, "user": {
            "client-certificate": str(pki / f"{identity}.crt"), "client-key": str(pki / f"{identity}.key"),
        }}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }, sort_keys=False)  # fmt: skip


def control_plane(settings: Settings) -> Plan:
    """Return the control plane: etcd, the API server and what works through it, and the relay to the host."""
    directory = settings.layout.machine(CONTROL)
    binaries = settings.binaries
    api_is_up = ({"tcp": (str(settings.addresses.control), API_PORT)},)
    has_rights = (*api_is_up, {"file": str(settings.layout.rights)})
    identities = ("controller-manager", "scheduler", "volumes")
    configs = {identity: directory / f"{identity}.conf" for identity in identities}
    pki = settings.layout.pki
    relay = Path(__file__).with_name("relay.py")
    return Plan(
        CONTROL,
        (
            Part("etcd", _etcd(settings)),
            Part("apiserver", _apiserver(settings), ({"tcp": ("127.0.0.1", 2379)},)),
            Part("controller-manager", (
                binaries["kube-controller-manager"], f"--kubeconfig={configs['controller-manager']}",
                f"--service-account-private-key-file={pki / 'sa.key'}", f"--root-ca-file={pki / 'ca.crt'}",
                "--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
                # Each controller asks for its token at its start; the default of 20 a second makes that take 4 s.
                "--kube-api-qps=200", "--kube-api-burst=400",
                "--node-monitor-period=2s", "--node-monitor-grace-period=20s",
                # The autoscaler's figures come every 10 s; the default of 15 s would add a second wait to them.
                "--horizontal-pod-autoscaler-sync-period=5s",
            ), api_is_up),
            Part("scheduler", (
                binaries["kube-scheduler"], f"--kubeconfig={configs['scheduler']}", "--leader-elect=false",
                "--bind-address=127.0.0.1",
            ), api_is_up),
            Part("volumes", (
                sys.executable, "-m", "hms.cluster.volumes", "--server", f"https://{settings.api_server}",
                "--pki", str(pki), "--home", str(settings.layout.home), "--storage-class", STORAGE_CLASS,
            ), has_rights),
            Part("relay", (
                sys.executable, "-I", "-S", str(relay), str(RELAY_FD), str(settings.addresses.control), str(API_PORT),
            ), serves_host=True),
        ),
        {path: kubeconfig(settings, identity, f"https://{settings.api_server}") for identity, path in configs.items()},
        listen=("127.0.0.1", settings.api_port),
    )  # fmt: skip


def _etcd(settings: Settings) -> tuple[str, ...]:
    return (
        settings.binaries["etcd"], f"--data-dir={settings.layout.machine(CONTROL) / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380", "--log-level=warn",
        # Only the host's own crash could lose what was not synced, and a test cluster does not outlive that.
        "--unsafe-no-fsync",
    )  # fmt: skip


def _apiserver(settings: Settings) -> tuple[str, ...]:
    pki = settings.layout.pki
    return (
        settings.binaries["kube-apiserver"], "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={settings.addresses.services}",
        f"--advertise-address={settings.addresses.control}", "--bind-address=0.0.0.0", f"--secure-port={API_PORT}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}", f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--service-account-key-file={pki / 'sa.pub'}", f"--service-account-signing-key-file={pki / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--anonymous-auth=false",
        # Pod Security keeps privileged pods out of the namespaces that say so; the cluster's own parts are daemons.
        "--allow-privileged=true",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        # Else logs and exec look for the node's name in a DNS that the control plane has not.
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki / 'ca.crt'}", "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        # The control plane is on no node: it reaches the metrics API by its pod's address, not by the Service's.
        "--enable-aggregator-routing=true",
    )  # fmt: skip


def node(settings: Settings, number: int) -> Plan:
    """Return node `number`: containerd, the kubelet, kube-proxy, and kube-router as the firewall of its pods."""
    name = node_name(number)
    directory = settings.layout.machine(name)
    binaries = settings.binaries
    server = f"https://{settings.api_server}"
    socket = INSIDE / "containerd.sock"
    api_is_up = {"tcp": (str(settings.addresses.control), API_PORT)}
    return Plan(
        name,
        (
            Part("containerd", (binaries["containerd"], f"--config={INSIDE / 'containerd.toml'}", "--log-level=warn")),
            Part("kubelet", (
                binaries["kubelet"], f"--config={INSIDE / 'kubelet.yaml'}", f"--kubeconfig={INSIDE / 'kubelet.conf'}",
                f"--root-dir={INSIDE / 'kubelet'}", f"--hostname-override={name}",
                f"--node-ip={settings.addresses.node(number)}",
            ), ({"unix": str(socket)}, api_is_up)),
            Part("kube-proxy", (binaries["kube-proxy"], f"--config={INSIDE / 'kube-proxy.yaml'}"), (api_is_up,)),
            Part("kube-router", (
                binaries["kube-router"], "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
                "--run-loadbalancer=false", f"--service-cluster-ip-range={settings.addresses.services}",
                f"--kubeconfig={INSIDE / 'kube-router.conf'}", f"--hostname-override={name}",
                # Refused, it asks again after up to a minute, ends when one is over, and pods have no firewall so long.
            ), (api_is_up, {"file": str(settings.layout.rights)})),
        ),
        {
            directory / "containerd.toml": containerd_config(settings, number),
            directory / "cni" / "10-pods.conflist": cni_config(settings, number),
            directory / "kubelet.yaml": kubelet_config(settings, number),
            directory / "kube-proxy.yaml": kube_proxy_config(settings, number),
            directory / "resolv.conf": f"nameserver {settings.addresses.dns_service}\n",
            directory / "kubelet.conf": kubeconfig(settings, name, server),
            directory / "kube-proxy.conf": kubeconfig(settings, "kube-proxy", server),
            directory / "kube-router.conf": kubeconfig(settings, "kube-router", server),
        },
    )  # fmt: skip


def containerd_config(settings: Settings, number: int) -> str:
    """Return containerd's configuration. Its state lies on the machine's /run, which is gone after a power loss."""
    # Without CAP_SYS_RESOURCE runc cannot lower a score, and fails with "can't get final child's PID from pipe".
    restrict = "false" if settings.can_lower_oom_score else "true"
    return f"""\
version = 2
root = "{INSIDE / "containerd"}"
state = "/run/containerd"
[grpc]
  address = "{INSIDE / "containerd.sock"}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{settings.pause_image}"
  restrict_oom_score_adj = {restrict}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{settings.cni_directory}"
    conf_dir = "{INSIDE / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def cni_config(settings: Settings, number: int) -> str:
    """Return the pods' network: each on a wire of its own.

    So packets between pods of one node are routed, too, and pass the firewall; over a bridge they would not.
    """
    return json.dumps({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-addresses",
                    "ranges": [[{"subnet": str(settings.addresses.node_pods(number))}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }, indent=2)  # fmt: skip


def kubelet_config(settings: Settings, number: int) -> str:
    """Return the kubelet's configuration: webhook authorisation, and this node's share of the machine's memory."""
    pki = settings.layout.pki
    name = node_name(number)
    return yaml.safe_dump({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"{name}.crt"),
        "tlsPrivateKeyFile": str(pki / f"{name}.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": settings.layout.machine_group(name),
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [str(settings.addresses.dns_service)],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{INSIDE / 'containerd.sock'}",
        "resolvConf": str(INSIDE / "resolv.conf"),
        # Looked at often, so that a node that was lost is Ready again soon; told only where it differs. Without the
        # second line every look is a write, and wakes whoever watches nodes. Whether a node lives, its lease says.
        "nodeStatusUpdateFrequency": "4s",
        "nodeStatusReportFrequency": "5m",
        # Nobody reads how full a volume is, and to find it out a node walks through all of them.
        "volumeStatsAggPeriod": "-1s",
        "nodeLeaseDurationSeconds": 20,
        "serializeImagePulls": False,
        # Images come from outside and cannot be pulled again: never collect one.
        "imageGCHighThresholdPercent": 100,
        "systemReserved": {"memory": str(settings.total_memory_bytes - settings.node_memory_bytes)},
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # The root file system's device cannot be told in every container or micro-VM; ephemeral limits need it.
        "localStorageCapacityIsolation": False,
    }, sort_keys=False)  # fmt: skip


def kube_proxy_config(settings: Settings, number: int) -> str:
    """Return kube-proxy's configuration: nftables, since not every kernel has IPVS."""
    return yaml.safe_dump({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(INSIDE / "kube-proxy.conf")},
        "mode": "nftables",
        "clusterCIDR": str(settings.addresses.pods),
        "hostnameOverride": node_name(number),
        # The table's size is the host's, for all network namespaces: not a node's to set.
        "conntrack": {"maxPerCore": 0},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }, sort_keys=False)  # fmt: skip
