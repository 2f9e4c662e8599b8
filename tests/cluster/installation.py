"""Tailrace as its users have it: the chart installed on real nodes, everything in pods, three NATS servers."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import nats
import operator_stack
import tailrace_images
from harness.cluster import Cluster
from releases import NATS_IMAGE, RESTRICTED, SMALL, Release, Values, nats_archive

#: Small enough for a machine of two cores, and three servers, so that no node is special.
VALUES: Values = {
    "nats": {"replicas": 3, "image": NATS_IMAGE, **SMALL},
    "broker": {"payloadsMaxBytes": "128Mi", "queueMaxBytes": "16Mi"},
    "operator": {"resources": {"requests": {"cpu": "50m", "memory": "100Mi"}}, "log": {"format": "text"}},
}


@dataclass(frozen=True)
class Installation:
    """A release, and what tests ask of it."""

    cluster: Cluster
    release: Release

    @property
    def namespace(self) -> str:
        return self.release.namespace

    def wait_ready(self) -> None:
        self.cluster.wait_rollout("deployment", "tailrace-operator", self.namespace)
        self.cluster.wait_rollout("statefulset", "tailrace-nats", self.namespace)

    def gateway_url(self, namespace: str) -> str:
        """Where this machine reaches the default gateway of a namespace."""
        self.cluster.require_own("reaching Services from this machine")
        found = self.cluster.get("service", "tailrace-gateway", namespace)
        assert found is not None
        return f"http://{found['spec']['clusterIP']}"

    def password(self, user: str) -> str:
        found = self.cluster.get("secret", "tailrace-nats-auth", self.namespace)
        assert found is not None
        return base64.b64decode(found["data"][user]).decode()

    async def broker_streams(self) -> set[str]:
        """The names of all streams on the broker."""
        url = f"nats://{self.release.service_ip('tailrace-nats')}:4222"
        client = await nats.connect(url, user="operator", password=self.password("operator"), connect_timeout=5)
        try:
            return {str(stream.config.name) for stream in await client.jetstream().streams_info()}
        finally:
            await client.close()

    def operator_pod(self) -> str:
        running = [pod for pod in self.release.pods("operator") if "deletionTimestamp" not in pod["metadata"]]
        return str(running[0]["metadata"]["name"])

    def state(self, *namespaces: str) -> str:
        """What helps to understand a failure, before the namespaces are gone."""
        said = [self.cluster.kubectl("logs", "-n", self.namespace, "deployment/tailrace-operator", check=False)]
        for namespace in (self.namespace, *namespaces):
            listed = ("get", "sm,sg,pods,deployments,events", "-n", namespace, "-o", "wide")
            said.append(self.cluster.kubectl(*listed, check=False))
        return "\n".join(said)


@contextmanager
def installed(cluster: Cluster, values: Values = VALUES, images: Sequence[str] = ()) -> Iterator[Installation]:
    """The chart, installed and ready, in a namespace that lets only restricted pods in; gone when the block ends."""
    cluster.load_image(nats_archive())
    for name in (*tailrace_images.SMALL, *images):
        cluster.load_image(tailrace_images.archive(name))
    with cluster.namespace("tailrace", RESTRICTED) as namespace:
        release = Release(cluster, namespace)
        # The definitions that a former test's release kept are that release's, in a namespace that is gone.
        release.install(values, "--take-ownership")
        installation = Installation(cluster, release)
        try:
            installation.wait_ready()
            yield installation
        except BaseException:
            print(installation.state())
            raise
        finally:
            remove_models(cluster)
            release.uninstall()


def remove_models(cluster: Cluster) -> None:
    """Delete the models that tests have made while there is an operator that lets go of them."""
    for namespace in cluster.own_namespaces():
        whose = ("--all", "-n", namespace, "--timeout=60s")
        cluster.kubectl("delete", "streamingmodels,streaminggateways", *whose, check=False)


def simulated(name: str, **spec: Any) -> dict[str, Any]:
    """A model without a model, at a pace that two cores carry many times over."""
    pace = {"engine": {"simulated": {"tokensPerSecond": 20, "maxStreams": 64}}, "replicas": 2}
    needs = {"replay": {"maxBytes": "32Mi"}, "resources": {"cpu": "50m", "memory": "256Mi"}}
    return operator_stack.simulated(name, **{**pace, **needs, **spec})
