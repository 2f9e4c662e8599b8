"""The programs that make up Kubernetes' control plane, and CoreDNS, with the flags that suit tests.

What differs from a usual cluster is time: a node that is gone is found after 12 s instead of 40 s, and its pods are
evicted 10 s later instead of 300 s.
"""

import socket
import ssl
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .credentials import Credentials
from .sandbox import Sandbox

NODE_GRACE_S = 12
EVICTION_S = 10


@dataclass(frozen=True)
class Ports:
    """Where etcd and the API server listen."""

    etcd: int = 2379
    etcd_peer: int = 2380
    api: int = 6443

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody uses now, for a cluster that shares the host's addresses."""
        probes = [socket.socket() for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        numbers = [probe.getsockname()[1] for probe in probes]
        for probe in probes:
            probe.close()
        return cls(*numbers)


@dataclass(frozen=True)
class ControlPlane:
    """The command lines of a cluster's control plane; `programs` are the binaries' paths by name."""

    folder: Path
    credentials: Credentials
    ports: Ports
    address: str
    services_range: str
    programs: dict[str, Path]

    def start_etcd(self, sandbox: Sandbox) -> None:
        sandbox.start("etcd", self.etcd())

    def start_api(self, sandbox: Sandbox) -> None:
        sandbox.start("kube-apiserver", self.api_server())

    def start_controllers(self, sandbox: Sandbox) -> None:
        sandbox.start("kube-controller-manager", self.controller_manager())

    def start_services(self, sandbox: Sandbox) -> None:
        """What nodes and their pods need besides the API server."""
        sandbox.start("kube-scheduler", self.scheduler())
        sandbox.start("coredns", self.coredns())

    def is_ready(self) -> bool:
        """Whether the API server says so; anybody may ask."""
        context = ssl.create_default_context(cafile=str(self.credentials.file("ca.crt")))
        try:
            with urllib.request.urlopen(f"{self.credentials.server}/readyz", timeout=5, context=context) as answer:
                return bool(answer.read() == b"ok")
        except OSError:
            return False

    def etcd(self) -> list[str | Path]:
        clients, peers = f"http://127.0.0.1:{self.ports.etcd}", f"http://127.0.0.1:{self.ports.etcd_peer}"
        return [
            self.programs["etcd"],
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            # What is lost with the machine may be lost: nothing of a test cluster outlives it.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def api_server(self) -> list[str | Path]:
        pki = self.credentials.file
        return [
            self.programs["kube-apiserver"],
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.ports.api}",
            f"--service-cluster-ip-range={self.services_range}",
            f"--tls-cert-file={pki('apiserver.crt')}",
            f"--tls-private-key-file={pki('apiserver.key')}",
            f"--token-auth-file={pki('tokens.csv')}",
            f"--client-ca-file={pki('ca.crt')}",
            f"--kubelet-client-certificate={pki('kubelet-client.crt')}",
            f"--kubelet-client-key={pki('kubelet-client.key')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki('accounts.key')}",
            f"--service-account-signing-key-file={pki('accounts.key')}",
            "--authorization-mode=Node,RBAC",
            # The second is off by default and on in some distributions, where nothing may be missed for the first time.
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
            "--allow-privileged=true",
            f"--default-not-ready-toleration-seconds={EVICTION_S}",
            f"--default-unreachable-toleration-seconds={EVICTION_S}",
        ]

    def controller_manager(self) -> list[str | Path]:
        pki = self.credentials.file
        return [
            self.programs["kube-controller-manager"],
            f"--kubeconfig={self.credentials.kubeconfig('system:kube-controller-manager')}",
            f"--service-account-private-key-file={pki('accounts.key')}",
            f"--root-ca-file={pki('ca.crt')}",
            f"--cluster-signing-cert-file={pki('ca.crt')}",
            f"--cluster-signing-key-file={pki('ca.key')}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--node-monitor-period=2s",
            f"--node-monitor-grace-period={NODE_GRACE_S}s",
            "--pvclaimbinder-sync-period=2s",
        ]

    def scheduler(self) -> list[str | Path]:
        config = self.credentials.kubeconfig("system:kube-scheduler")
        return [self.programs["kube-scheduler"], f"--kubeconfig={config}", "--leader-elect=false", "--secure-port=0"]

    def coredns(self) -> list[str | Path]:
        """CoreDNS beside the API server; there is nothing to forward other names to, so they fail at once."""
        corefile = self.folder / "Corefile"
        config = self.credentials.kubeconfig("system:coredns")
        zone = f"kubernetes cluster.local in-addr.arpa {{\n kubeconfig {config}\n ttl 5\n }}"
        corefile.write_text(f".:53 {{\n bind {self.address}\n errors\n cache 5\n {zone}\n}}\n")
        return [self.programs["coredns"], "-conf", corefile]
