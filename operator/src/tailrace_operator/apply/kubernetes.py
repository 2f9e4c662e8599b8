"""The operator's edge to the Kubernetes API: reads, server-side applies and deletes, and what their refusals mean.

All writes go through here, under one field manager, so that they can be counted: an operator that writes without need
is an operator that fights.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException

from tailrace_operator.apply.kinds import collection_of, path_of
from tailrace_operator.plan.identity import FIELD_MANAGER, Ref
from tailrace_operator.render.rendered import Manifest

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"
#: All that the API server says of a JSON patch whose `test` fails. Of what is wrong with an object it says more.
_PATCH_FAILED = "the server rejected our request due to an error in our request"
#: Where rights on owners are checked, this is said of a kind that is new: for up to 30 s.
_UNKNOWN_OWNER = "cannot find RESTMapping"
_TIMEOUT_S = 15.0
_CONNECTIONS = 32


class KubernetesError(Exception):
    """The API server did not do what it was asked to. `retryable`: the same request may succeed later."""

    retryable = True


class UnreachableError(KubernetesError):
    """No answer, or one from in front of the server: what happened meanwhile may never be told."""


class BusyError(KubernetesError):
    """The server answers, and cannot do it now: too many requests, a webhook that fails."""


class NotFoundError(KubernetesError):
    """There is no such object."""


class ChangedError(KubernetesError):
    """The object is not the one that the request was about, or changed meanwhile."""


class NamespaceGoingError(KubernetesError):
    """The namespace is being deleted: nothing can be made in it any more."""

    retryable = False


class RefusedError(KubernetesError):
    """The server will not do it: no right, or an object that it finds wrong. The message is the server's."""

    retryable = False


@contextlib.asynccontextmanager
async def connected(kubeconfig: Path | None = None) -> AsyncIterator["KubernetesApi"]:
    """The API of the cluster that this pod runs in, or that `kubeconfig` (or the environment) names."""
    configuration = Configuration()
    configuration.connection_pool_maxsize = _CONNECTIONS
    # Else each request looks for proxies and a netrc file, in a thread; a kubeconfig's `proxy-url` counts nevertheless.
    configuration.client_session_kwargs = {"trust_env": False}
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        file = str(kubeconfig) if kubeconfig else None
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=file, client_configuration=configuration
        )
    async with ApiClient(configuration) as client:
        yield KubernetesApi(client)


class KubernetesApi:
    """Objects by name. `count` is told of each request: the verb and the kind."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.count: Callable[[str, str], None] = lambda verb, kind: None

    async def get(self, ref: Ref) -> Manifest | None:
        """The object called `ref`, if there is one."""
        try:
            return await self._request("get", ref, path_of(ref))
        except NotFoundError:
            return None

    async def list_kind(self, ref: Ref, label_selector: str = "", field_selector: str = "") -> list[Manifest]:
        """The objects of `ref`'s kind in its namespace."""
        chosen = {"labelSelector": label_selector, "fieldSelector": field_selector}
        found = await self._request("get", ref, collection_of(ref), **chosen)
        return [{"apiVersion": ref.api_version, "kind": ref.kind, **item} for item in found["items"]]

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object.

        Raises:
            ChangedError: there is one of that name already.
        """
        ref = Ref.of(manifest)
        return await self._request("post", ref, collection_of(ref), body=manifest, fieldManager=FIELD_MANAGER)

    async def apply(self, manifest: Manifest, uid: str | None = None, subresource: str = "") -> Manifest:
        """Bring the fields of `manifest` about, taking them over from whoever set them.

        Raises:
            ChangedError: `uid` is given and the object is another one now.
        """
        body = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}} if uid else manifest
        ref = Ref.of(manifest)
        path = path_of(ref, subresource)
        return await self._request(
            "patch", ref, path, body=body, content_type=_APPLY, fieldManager=FIELD_MANAGER, force="true"
        )

    async def set_finalizers(self, observed: Manifest, finalizers: list[str]) -> None:
        """Replace the object's finalizers, provided that nobody changed it since it was observed.

        Raises:
            ChangedError: somebody did.
        """
        ref, version = Ref.of(observed), observed["metadata"]["resourceVersion"]
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
        ]
        await self._request("patch", ref, path_of(ref), body=patch, content_type=_JSON_PATCH)

    async def drop_status(self, observed: Manifest, names: Sequence[str]) -> Manifest:
        """Remove these fields of the object's status, whoever set them, provided that nobody changed it meanwhile.

        Raises:
            ChangedError: somebody did.
        """
        ref, version = Ref.of(observed), observed["metadata"]["resourceVersion"]
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            *({"op": "remove", "path": f"/status/{name}"} for name in names),
        ]
        path = path_of(ref, "status")
        return await self._request("patch", ref, path, body=patch, content_type=_JSON_PATCH, fieldManager=FIELD_MANAGER)

    async def delete(self, ref: Ref, uid: str) -> None:
        """Delete the object with `uid`, and in the background what it owns; no error if it is gone or another one."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        with contextlib.suppress(NotFoundError, ChangedError):
            await self._request("delete", ref, path_of(ref), body=body)

    async def _request(
        self, verb: str, ref: Ref, path: str, *, body: Any = None, content_type: str = _JSON, **query: str
    ) -> Manifest:
        self.count(verb, ref.kind)
        headers = {"Accept": _JSON, "Content-Type": content_type}
        try:
            status, answer = await self._exchange(verb.upper(), path, headers, body, query)
        except ApiException as error:
            raise _meaning(ref, error.status or 0, error.body) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"the Kubernetes API does not answer: {type(error).__name__}") from error
        if not 200 <= status <= 299:
            raise _meaning(ref, status, answer)
        return cast("Manifest", msgspec.json.decode(answer))

    async def _exchange(
        self, verb: str, path: str, headers: Mapping[str, str], body: Any, query: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """The status and the body of the answer, whatever they say."""
        request = await self._client.param_serialize(
            verb, path, None, list(query.items()), dict(headers), body, auth_settings=["BearerToken"]
        )
        response = await self._client.call_api(*request, _request_timeout=_TIMEOUT_S)
        return response.status, await response.read()  # type: ignore[no-untyped-call]


def _meaning(ref: Ref, status: int, body: Any) -> KubernetesError:
    said = _status_of(body)
    message = f"{ref}: {said.get('message') or f'the API server answered {status}'}"
    causes = [cause.get("reason") for cause in (said.get("details") or {}).get("causes") or ()]
    if "NamespaceTerminating" in causes:
        return NamespaceGoingError(message)
    if status == 404:
        return NotFoundError(message)
    if status == 409 or (status == 422 and said.get("message") == _PATCH_FAILED):
        return ChangedError(message)
    if status in (502, 503, 504, 0):
        return UnreachableError(message)
    is_early = status == 403 and _UNKNOWN_OWNER in message
    return BusyError(message) if status in (429, 500) or is_early else RefusedError(message)


def _status_of(body: Any) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body) if isinstance(body, str | bytes) else body
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}
