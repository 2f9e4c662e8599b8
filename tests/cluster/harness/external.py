"""The user's own cluster, by $KUBECONFIG: used but not broken, and left as it was found.

Tailrace is installed once per cluster, so the tests and an installation cannot share one: the operator under test takes
up every model, and the definitions of the resources are put in the place of the ones that are there. Where these are
there already, the tests refuse the cluster unless the user says that it is there for them.
"""

import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import assets, shell
from .cluster import EXTERNAL, Cluster
from .errors import NotOursError, RefusedError, WaitTimeoutError
from .kube import NAMESPACE_GONE_S
from .watching import Object

MINE_VARIABLE = "TAILRACE_TEST_CLUSTER_IS_MINE"
LOAD_VARIABLE = "TAILRACE_LOAD_IMAGE"
GROUP = ".tailrace.dev"
INSTALLED = "app.kubernetes.io/part-of=tailrace"
LOADING_S = 1800.0


@dataclass
class ExternalCluster(Cluster):
    """A cluster that was there before the tests, and the definitions that it had."""

    before: frozenset[str] = frozenset()
    defined: set[str] = field(default_factory=set)
    loaded: set[Path] = field(default_factory=set)

    def refuse_installation(self) -> None:
        """RefusedError where Tailrace is installed, unless $TAILRACE_TEST_CLUSTER_IS_MINE is `yes`."""
        roles = self.kubectl("get", "clusterroles", "-l", INSTALLED, "-o", "name").split()
        ours = [*sorted(name for name in self.before if name.endswith(GROUP)), *roles]
        if ours and os.environ.get(MINE_VARIABLE) != "yes":
            raise RefusedError(
                f"the cluster of KUBECONFIG has Tailrace already ({', '.join(ours)}): the tests would overwrite it, "
                f"and their operator would take up every model. Unset KUBECONFIG, or, where nobody misses what is "
                f"there, set {MINE_VARIABLE}=yes"
            )

    def define(self, definition: Object) -> None:
        name = definition["metadata"]["name"]
        if name in self.before and not name.endswith(GROUP):
            return  # Another project's, as the user has it.
        self.defined.add(name)
        super().define(definition)

    def load_image(self, archive: Path) -> None:
        command = self.loading_command()
        if archive not in self.loaded:
            shell.run([*shlex.split(command), archive], env=self.environment(), timeout_s=LOADING_S)
            self.loaded.add(archive)

    def loading_command(self) -> str:
        """What loads an archive into the nodes; NotOursError says how to give it."""
        command = os.environ.get(LOAD_VARIABLE)
        if not command:
            raise NotOursError(
                f"its pods run images from this checkout: set {LOAD_VARIABLE} to the command that loads an archive "
                "into the nodes of KUBECONFIG's cluster, such as `kind load image-archive --name mine`, and be root"
            )
        return command

    def stop(self) -> None:
        """Remove what the tests have made and may have left, and our folder of caches and kubeconfigs."""
        for namespace in self.own_namespaces():
            self.let_go(namespace)
        ours = {name for name in self.definitions() if name.endswith(GROUP)}
        for name in sorted((ours | self.defined) - self.before):
            self.kubectl("delete", "crd", name, "--ignore-not-found", "--timeout=60s", check=False)
        shutil.rmtree(self.work)

    def let_go(self, namespace: str) -> None:
        """Delete a namespace of ours, whose models' operator has ended before it could let go of them."""
        self.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
        for kind in sorted(self.definitions()):
            if kind.endswith(GROUP):
                names = self.kubectl("get", kind, "-n", namespace, "-o", "name", check=False).split()
                freed = (*names, "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
                _ = names and self.kubectl("patch", *freed, check=False)
        try:
            self.wait("namespace", namespace, None, lambda seen: seen is None, NAMESPACE_GONE_S)
        except WaitTimeoutError as error:
            print(f"namespace {namespace} is left over: {error}")

    def definitions(self) -> frozenset[str]:
        """The names of all CustomResourceDefinitions."""
        listed = self.kubectl("get", "crd", "-o", "name").split()
        return frozenset(name.partition("/")[2] for name in listed)


def connect(kubeconfig: Path) -> ExternalCluster:
    """The cluster of a kubeconfig. RefusedError where the tests would harm somebody."""
    work = Path(tempfile.mkdtemp(prefix="tailrace-kube-"))
    try:
        kubectl = Path(shutil.which("kubectl") or assets.find_one("kubectl"))
        cluster = ExternalCluster(kubeconfig, work, kubectl, EXTERNAL)
        cluster.before = cluster.definitions()
        cluster.refuse_installation()
    except BaseException:
        shutil.rmtree(work)
        raise
    return cluster
