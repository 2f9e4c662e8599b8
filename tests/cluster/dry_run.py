"""What the API server says to a document, without keeping it: hundreds of answers a second, over one connection."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from harness.cluster import Cluster

Document = dict[str, Any]
_PLURALS = {"StreamingModel": "streamingmodels", "StreamingGateway": "streaminggateways", "Deployment": "deployments"}
_PLURALS |= {"Pod": "pods"}


@dataclass(frozen=True)
class Answer:
    """The object as it would be stored; or why it is refused, one line for each field."""

    stored: Document | None
    complaint: str


class DryRun:
    """An API server behind `kubectl proxy`, which logs in however the kubeconfig says."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def apply(self, document: Document, namespace: str = "default") -> Answer:
        """The answer to a server-side apply of `document`, by the manager that `kubectl apply` is."""
        path = f"{_collection(document, namespace)}/{document['metadata']['name']}"
        options = {"dryRun": "All", "fieldManager": "kubectl", "fieldValidation": "Strict", "force": "true"}
        kind = {"Content-Type": "application/apply-patch+yaml"}
        return _answer(self._client.patch(path, params=options, content=json.dumps(document), headers=kind))

    def patch(self, document: Document, namespace: str, change: Document) -> Answer:
        """The answer to a strategic merge patch of the object that `document` names."""
        path = f"{_collection(document, namespace)}/{document['metadata']['name']}"
        kind = {"Content-Type": "application/strategic-merge-patch+json"}
        return _answer(self._client.patch(path, params={"dryRun": "All"}, content=json.dumps(change), headers=kind))

    def replace(self, document: Document, namespace: str) -> Answer:
        """The answer to putting `document` in the place of what bears its name."""
        path = f"{_collection(document, namespace)}/{document['metadata']['name']}"
        return _answer(self._client.put(path, params={"dryRun": "All"}, json=document))


@contextmanager
def dry_run(cluster: Cluster) -> Iterator[DryRun]:
    """A connection to the cluster's API server."""
    command = [str(cluster.kubectl_path), "proxy", "--port=0"]
    proxy = subprocess.Popen(
        command, env=cluster.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert proxy.stdout is not None
        address = re.search(r"127\.0\.0\.1:\d+", proxy.stdout.readline())
        assert address is not None, "kubectl proxy says where it listens"
        with httpx.Client(base_url=f"http://{address[0]}", timeout=60) as client:
            yield DryRun(client)
    finally:
        proxy.kill()
        proxy.communicate()


def _collection(document: Document, namespace: str) -> str:
    group = document["apiVersion"]
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    return f"{root}/namespaces/{namespace}/{_PLURALS[document['kind']]}"


def _answer(response: httpx.Response) -> Answer:
    body = response.json()
    if response.is_success:
        return Answer(body, "")
    causes = (body.get("details") or {}).get("causes") or []
    lines = [f"{cause.get('field', '')}: {cause['message']}" for cause in causes]
    return Answer(None, "\n".join(lines) or str(body["message"]))
