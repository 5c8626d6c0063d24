"""The wire: one bridge in the control plane's network namespace, a veth pair for each node, and no way out.

Namespaces are known by the id of a process in them. The interfaces vanish with the namespace, so nothing
is undone here.
"""

import subprocess
from collections.abc import Sequence

from hms.cluster.addresses import Addresses
from hms.errors import ClusterError

BRIDGE = "lan"
REFUSALS = "hms_refusals"
CONTROL_PLANE = 0
"""Its number where machines are separated; nodes count from 1."""


def within(pid: int, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs `argv` in the network namespace of `pid`.

    Never `ip netns exec`: that hides the control groups' mounts.
    """
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *argv]


def run(argv: Sequence[str], *, stdin: str = "") -> str:
    """Run one of the system's network tools; `ClusterError` has what it said."""
    done = subprocess.run(argv, input=stdin, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"{' '.join(argv)}: {done.stderr.strip() or f'exit code {done.returncode}'}\n{stdin}".strip()
        )
    return done.stdout


def configure(pid: int, commands: Sequence[str]) -> None:
    """Run commands of `ip` in a namespace, in one go."""
    run(within(pid, ["ip", "-batch", "-"]), stdin="\n".join(commands) + "\n")


def port(number: int) -> str:
    """Return the bridge's port to node `number`."""
    return f"node{number}"


def has_interface(pid: int, name: str) -> bool:
    """Return whether the namespace has that interface."""
    done = subprocess.run(within(pid, ["ip", "link", "show", "dev", name]), capture_output=True, check=False)
    return done.returncode == 0


def make_bridge(control_pid: int, addresses: Addresses) -> None:
    """Make the bridge, unless the control plane has it."""
    if has_interface(control_pid, BRIDGE):
        return
    configure(control_pid, [
        "link set lo up",
        # Else a bridge has the lowest address of its ports, and changes it when a node comes or goes.
        f"link add {BRIDGE} address {addresses.link(0)} type bridge",
        f"address add {addresses.control}/{addresses.nodes.prefixlen} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ])  # fmt: skip


def attach_node(control_pid: int, node_pid: int, number: int, nodes: int, addresses: Addresses) -> None:
    """Lay the wire between a node and the bridge, unless it is there, with the routes at both ends."""
    if has_interface(node_pid, "eth0"):
        return
    if has_interface(control_pid, port(number)):
        configure(control_pid, [f"link delete {port(number)}"])
    run(["ip", "link", "add", port(number), "netns", str(control_pid), "type", "veth",
         "peer", "name", "eth0", "netns", str(node_pid)])  # fmt: skip
    configure(node_pid, [
        "link set lo up",
        # The same after a power loss as before: its neighbours remember it.
        f"link set eth0 address {addresses.link(number)}",
        f"address add {addresses.node(number)}/{addresses.nodes.prefixlen} dev eth0",
        "link set eth0 up",
        f"route add default via {addresses.control}",
        *(
            f"route add {addresses.node_pods(other)} via {addresses.node(other)}"
            for other in range(1, nodes + 1)
            if other != number
        ),
    ])  # fmt: skip
    configure(control_pid, [
        f"link set {port(number)} master {BRIDGE} up",
        f"route replace {addresses.node_pods(number)} via {addresses.node(number)}",
    ])  # fmt: skip


def refuse_unserved(node_pid: int, addresses: Addresses) -> None:
    """Have a node answer a pod that dials a Service without endpoints with a reset, ahead of kube-proxy's ICMP error.

    All nodes are one kernel here, so the error reaches the dialling socket while it is still inside connect(), which
    then only notes it, dials on, and may yet succeed: a connected socket with an error in its queue for good. An event
    loop that never reads that queue, such as Redis', turns without end from then on (half a core was seen). Between
    real machines the error comes after connect() has returned, and ends the attempt, as a reset does here.
    """
    rule = f"ip daddr {addresses.services} tcp flags & (fin | syn | rst | ack) == syn reject with tcp reset"
    before_kube_proxy = "type filter hook forward priority -120;"
    chain = f"  chain forward {{\n    {before_kube_proxy}\n    {rule}\n  }}\n"
    # Declared, emptied and written in one transaction: the same whether the node has it or not.
    run(within(node_pid, ["nft", "-f", "-"]),
        stdin=f"table ip {REFUSALS}\ndelete table ip {REFUSALS}\ntable ip {REFUSALS} {{\n{chain}}}\n")  # fmt: skip


def set_link(control_pid: int, number: int, *, up: bool) -> None:
    """Pull or plug the cable of node `number`."""
    configure(control_pid, [f"link set {port(number)} {'up' if up else 'down'}"])


def link_is_up(control_pid: int, number: int) -> bool:
    """Return whether the cable of node `number` is there and plugged in."""
    if not has_interface(control_pid, port(number)):
        return False
    shown = run(within(control_pid, ["ip", "-o", "link", "show", "dev", port(number)]))
    flags = shown.partition("<")[2].partition(">")[0].split(",")
    return "UP" in flags


def separate(control_pid: int, number: int, other: int) -> None:
    """Drop everything between two nodes, both ways, while the control plane still reaches both.

    Or between a node and the control plane, which is `CONTROL_PLANE` here, while the nodes reach each other.
    """
    if CONTROL_PLANE in (number, other):
        name = port(max(number, other))
        rules = {"input": [f'iifname "{name}" drop'], "output": [f'oifname "{name}" drop']}
    else:
        pairs = ((number, other), (other, number))
        rules = {"forward": [f'iifname "{port(a)}" oifname "{port(b)}" drop' for a, b in pairs]}
    chains = ""
    for hook, lines in rules.items():
        body = "".join(f"    {line}\n" for line in lines)
        chains += f"  chain {hook} {{\n    type filter hook {hook} priority 0;\n{body}  }}\n"
    table = partition_table(number, other)
    run(within(control_pid, ["nft", "-f", "-"]), stdin=f"table bridge {table} {{\n{chains}}}\n")


def partitions(control_pid: int) -> list[tuple[int, int]]:
    """Return each pair that is separated, the lower number first."""
    listed = run(within(control_pid, ["nft", "list", "tables", "bridge"]))
    names = [line.split()[-1] for line in listed.splitlines()]
    pairs = [name.split("_")[1:] for name in names if name.startswith("partition_")]
    return [(int(lower), int(higher)) for lower, higher in pairs]


def separated_from(control_pid: int, number: int) -> list[int]:
    """Return the nodes, and perhaps `CONTROL_PLANE`, from which node `number` is separated."""
    return sorted(sum(pair) - number for pair in partitions(control_pid) if number in pair)


def join(control_pid: int, number: int) -> None:
    """Lift every separation of node `number`."""
    for other in separated_from(control_pid, number):
        run(within(control_pid, ["nft", "delete", "table", "bridge", partition_table(number, other)]))


def partition_table(number: int, other: int) -> str:
    """Return the name of the table that separates two machines, whichever is named first."""
    return "partition_{}_{}".format(*sorted((number, other)))
