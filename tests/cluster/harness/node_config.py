"""What a node's programs read: containerd's, CNI's, the kubelet's and kube-proxy's configuration."""

from pathlib import Path
from typing import Any

from .images import PAUSE
from .instances import Instance

_CONTAINERD = """\
version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE, runc may not lower a pod's oom_score_adj below its own, and the pod would not start.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""

#: Kernel settings of the whole machine that the kubelet would change; it is shown that they are so already.
TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def containerd(cni: Path, root: Path = Path("/var/lib/containerd")) -> str:
    """With the folder of its networks' configuration, and the one of all that it keeps; it makes what is missing."""
    return _CONTAINERD.format(cni=cni, root=root, pause=PAUSE)


def cni(instance: Instance, index: int) -> dict[str, Any]:
    """One routed interface per pod; addresses are forgotten with the node, as its pods are."""
    subnet = [[{"subnet": instance.node_pods(index)}]]
    ipam = {"type": "host-local", "dataDir": "/run/cni", "ranges": subnet, "routes": [{"dst": "0.0.0.0/0"}]}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}, ports]}


def kubelet(instance: Instance, authority: str, cgroup: str) -> dict[str, Any]:
    """Usual but for: leases that match the control plane's haste, no garbage collection, room on a shared machine."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": authority},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [instance.dns_address],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "volumePluginDir": "/var/lib/kubelet/plugins-exec",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "resolvConf": "/dev/null",
        "nodeStatusUpdateFrequency": "3s",
        "nodeLeaseDurationSeconds": 8,
        "serializeImagePulls": False,
        "maxPods": 60,
        # A container that crashes comes back after at most 20 s instead of 5 minutes.
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "20s"},
    }


def kube_proxy(instance: Instance, kubeconfig: str) -> dict[str, Any]:
    """The same for every node, and for the control plane, which reaches Services as well."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "mode": "iptables",
        "clusterCIDR": instance.pods_range,
        # The table of connections belongs to the whole machine: leave its size alone.
        "conntrack": {"maxPerCore": 0},
    }
