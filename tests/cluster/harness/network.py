"""A cluster's network: a bridge in the cluster's namespace, with the host and every node plugged into it.

Pods are routed, not bridged (CNI's `ptp`): traffic between two pods of one node then passes iptables like any other,
so Services work without the kernel's br_netfilter. Every route is symmetric, because kube-proxy drops answers whose
question it has not seen. There is no way out to the internet: what tries fails at once instead of hanging.
"""

from .instances import Instance

BRIDGE = "switch"
SETTINGS = [
    "sysctl -qw net.ipv4.ip_forward=1",
    # Connections of killed programs whose other end is gone as well: give up soon, they keep the namespace alive.
    "sysctl -qw net.ipv4.tcp_orphan_retries=1",
]


def control_plane_lines(instance: Instance) -> list[str]:
    """Shell lines for the cluster's namespace: the bridge with the control plane's address."""
    return [
        # Programs of the host must not find what is made here, nor the other way round.
        "mount -t tmpfs -o mode=755 tmpfs /run",
        "ip link set lo up",
        f"ip link add {BRIDGE} type bridge",
        f"ip address add {instance.control_address}/24 dev {BRIDGE}",
        f"ip link set {BRIDGE} up",
        *SETTINGS,
        "ip route add unreachable default",
    ]


def host_lines(instance: Instance, pid: int) -> list[str]:
    """Shell lines for the host: an interface into the cluster; the kernel removes it with the cluster's namespace."""
    name = instance.interface
    return [
        f"ip link add {name} type veth peer name host netns {pid}",
        f"ip address add {instance.host_address}/24 dev {name}",
        f"ip link set {name} up",
        f"nsenter --target={pid} --net ip link set host master {BRIDGE} up",
        f"ip route add {instance.services_range} via {instance.control_address}",
    ]


def node_lines(instance: Instance, index: int, others: list[int]) -> list[str]:
    """Shell lines for a node's namespace, once its interface is there: address, and routes to the other nodes' pods."""
    return [
        "ip link set lo up",
        f"ip address add {instance.node_address(index)}/24 dev eth0",
        "ip link set eth0 up",
        *SETTINGS,
        "ip route add unreachable default",
        *(f"ip route add {instance.node_pods(other)} via {instance.node_address(other)}" for other in others),
    ]


def plug_lines(cluster_pid: int, node_pid: int, name: str) -> list[str]:
    """Shell lines for the host: a cable between the cluster's bridge and a node."""
    inside = f"nsenter --target={cluster_pid} --net"
    return [
        f"{inside} ip link add {name} type veth peer name eth0 netns {node_pid}",
        f"{inside} ip link set {name} master {BRIDGE} up",
    ]


def pod_route(instance: Instance, index: int) -> str:
    """The route to a node's pods, for the host and for the control plane."""
    return f"ip route replace {instance.node_pods(index)} via {instance.node_address(index)}"
