"""Who is who in a cluster: a certificate authority, the API server's certificates, tokens, and kubeconfigs with them.

Users have tokens rather than certificates: that saves a dozen key pairs per start. RBAC treats both alike.
"""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from . import shell

#: user → groups; the names that Kubernetes' own roles are bound to.
USERS = {
    "admin": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "system:kube-proxy": "",
    "system:coredns": "",
}
DAYS = 30
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Credentials:
    """The files in a cluster's folder `pki`, and how the API server is reached with them."""

    folder: Path
    server: str

    def file(self, name: str) -> Path:
        return self.folder / name

    def create(self, address: str, service_address: str, nodes: list[str]) -> None:
        """Make all keys, certificates and tokens; for an API server at `address`."""
        self.folder.mkdir(mode=0o700)
        self.create_authority()
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        hosts = [f"DNS:{name}" for name in [*names, "localhost"]] + [f"IP:{ip}" for ip in (address, service_address)]
        self.create_certificate("apiserver", "/CN=kube-apiserver", f"subjectAltName={','.join(hosts)}")
        self.create_certificate("kubelet-client", "/O=system:masters/CN=kube-apiserver", "extendedKeyUsage=clientAuth")
        shell.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.file("accounts.key")])
        self.create_tokens({**USERS, **{f"system:node:{node}": "system:nodes" for node in nodes}})

    def create_authority(self) -> None:
        out = ["-keyout", self.file("ca.key"), "-out", self.file("ca.crt")]
        usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
        shell.run(["openssl", "req", "-x509", *KEY, "-days", str(DAYS), "-subj", "/CN=tailrace-test", *usage, *out])

    def create_certificate(self, name: str, subject: str, extension: str) -> None:
        """A key and a certificate of it, signed by the authority."""
        out = ["-keyout", self.file(f"{name}.key"), "-out", self.file(f"{name}.crt")]
        authority = ["-CA", self.file("ca.crt"), "-CAkey", self.file("ca.key")]
        extensions = ["-addext", extension, "-addext", "basicConstraints=critical,CA:FALSE"]
        shell.run(
            ["openssl", "req", "-x509", *KEY, "-days", str(DAYS), "-subj", subject, *authority, *extensions, *out]
        )

    def create_tokens(self, users: dict[str, str]) -> None:
        """A token for each user, in the API server's file and in a kubeconfig."""
        lines = []
        for user, groups in users.items():
            token = secrets.token_hex(24)
            lines.append(f'{token},{user},{user},"{groups}"\n')
            self.write_kubeconfig(self.kubeconfig(user), token)
        self.file("tokens.csv").write_text("".join(lines))

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of a user of USERS, or of a node's kubelet (`system:node:<name>`)."""
        return self.file(f"{user.replace(':', '-')}.kubeconfig")

    def write_kubeconfig(self, path: Path, token: str, namespace: str = "default") -> None:
        write_kubeconfig(
            path, {"server": self.server, "certificate-authority": str(self.file("ca.crt"))}, token, namespace
        )


def write_kubeconfig(path: Path, cluster: dict[str, str], token: str, namespace: str = "default") -> None:
    """Write a kubeconfig with a token; JSON is YAML."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tailrace",
        "clusters": [{"name": "tailrace", "cluster": cluster}],
        "users": [{"name": "tailrace", "user": {"token": token}}],
        "contexts": [
            {"name": "tailrace", "context": {"cluster": "tailrace", "user": "tailrace", "namespace": namespace}}
        ],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
