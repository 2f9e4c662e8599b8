"""As much of an API server as Helm asks when a template looks something up: discovery, and lists of StatefulSets."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from .helm import Object


def discovery(objects: Iterable[Object]) -> dict[str, Object]:
    """What an API server answers, by path, that knows the kinds of these objects."""
    kinds: dict[str, set[str]] = {}
    for item in objects:
        kinds.setdefault(item["apiVersion"], set()).add(item["kind"])
    groups = [group(version) for version in kinds if "/" in version]
    answers: dict[str, Object] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": groups},
    }
    for version, names in kinds.items():
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        answers[path] = {"kind": "APIResourceList", "groupVersion": version, "resources": [*map(resource, names)]}
    return answers


def group(version: str) -> Object:
    this = {"groupVersion": version, "version": version.partition("/")[2]}
    return {"name": version.partition("/")[0], "versions": [this], "preferredVersion": this}


def resource(kind: str) -> Object:
    return {"name": f"{kind.lower()}s", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: dict[str, Object]

    def do_GET(self) -> None:
        found = self.answers.get(self.path.partition("?")[0])
        body = json.dumps(found or {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}).encode()
        self.send_response(HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(known: Iterable[Object], running: list[Object], namespace: str) -> Iterator[str]:
    """The address of a server that knows the kinds of `known`, and holds `running` StatefulSets in a namespace."""
    answers = discovery(known)
    path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets"
    answers[path] = {"kind": "StatefulSetList", "apiVersion": "apps/v1", "metadata": {}, "items": running}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"answers": answers})) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
