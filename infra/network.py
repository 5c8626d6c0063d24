"""NetworkPolicies: nothing in, nothing out, then exactly the flows of the list, names from DNS, and the API server."""

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from infra.flows import flows, sources, targets
from infra.names import APP, APP_PORT, PART_OF, POSTGRES, labels
from infra.site import Site

_API_SERVER_PORTS = (443, 6443)


# A policy sees the port on which the DNS pods listen, which is rarely the Service's 53: any port, but these pods only.
_DNS = NetworkPolicyPeerArgs(
    namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": "kube-system"}),
    pod_selector=LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
)


def _port(number: int) -> NetworkPolicyPortArgs:
    return NetworkPolicyPortArgs(port=number, protocol="TCP")


def _pods(workload: str) -> NetworkPolicyPeerArgs:
    return NetworkPolicyPeerArgs(pod_selector=LabelSelectorArgs(match_labels=labels(workload)))


def _namespace(name: str) -> NetworkPolicyPeerArgs:
    return NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": name})
    )


class NetworkRules(pulumi.ComponentResource):
    """The default denial and one policy for each workload."""

    def __init__(self, name: str, site: Site, *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hms:network:NetworkRules", name, None, opts)
        self._site = site
        self._flows = flows(site.spec)
        self._policy("default-deny", PART_OF, LabelSelectorArgs(), [], [])
        self._policy("allow-dns", PART_OF, LabelSelectorArgs(), [], [NetworkPolicyEgressRuleArgs(to=[_DNS])])
        names = sorted({flow.source for flow in self._flows} | {flow.target for flow in self._flows})
        for workload in names:
            selector = LabelSelectorArgs(match_labels=labels(workload))
            self._policy(workload, workload, selector, self._ingress(workload), self._egress(workload))
        self.register_outputs({"workloads": names})

    def _ingress(self, workload: str) -> list[NetworkPolicyIngressRuleArgs]:
        rules = [
            NetworkPolicyIngressRuleArgs(from_=[_pods(source) for source in who], ports=[_port(port)])
            for port, who in sources(self._flows, workload).items()
        ]
        if workload == APP and self._site.spec.app.ingress_namespace:
            peer = _namespace(self._site.spec.app.ingress_namespace)
            rules.append(NetworkPolicyIngressRuleArgs(from_=[peer], ports=[_port(APP_PORT)]))
        return rules

    def _egress(self, workload: str) -> list[NetworkPolicyEgressRuleArgs]:
        rules = [
            NetworkPolicyEgressRuleArgs(to=[_pods(target)], ports=[_port(port) for port in ports])
            for target, ports in targets(self._flows, workload).items()
        ]
        if workload == POSTGRES:
            # Patroni's store. A policy cannot name the API server: it is no pod.
            api_server = NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=self._site.spec.api_server_cidr))
            rules.append(NetworkPolicyEgressRuleArgs(to=[api_server], ports=[_port(p) for p in _API_SERVER_PORTS]))
        return rules

    def _policy(
        self,
        name: str,
        workload: str,
        selector: LabelSelectorArgs,
        ingress: list[NetworkPolicyIngressRuleArgs],
        egress: list[NetworkPolicyEgressRuleArgs],
    ) -> None:
        only_egress = name == "allow-dns"
        NetworkPolicy(
            f"network-{name}",
            metadata=self._site.meta(name, workload),
            spec=NetworkPolicySpecArgs(
                pod_selector=selector,
                policy_types=["Egress"] if only_egress else ["Ingress", "Egress"],
                ingress=ingress,
                egress=egress,
            ),
            opts=self._site.child(self),
        )
