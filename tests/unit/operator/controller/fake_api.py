"""An API server in memory: it keeps objects, counts their versions, refuses what it is told to, tells what was asked.

Only what the operator relies on: names, uids, resource versions, preconditions. What a real one does beyond is tested
on a real one (tests/cluster).
"""

import copy
import itertools
from collections.abc import Sequence
from typing import Any

from tailrace_operator.apply.kubernetes import ChangedError, KubernetesApi, NotFoundError
from tailrace_operator.plan import Ref

Object = dict[str, Any]


class FakeApi(KubernetesApi):
    def __init__(self, *present: Object) -> None:
        self._versions = itertools.count(100)
        self.objects: dict[Ref, Object] = {}
        #: What was asked: the verb and the object's name.
        self.asked: list[str] = []
        self.refusals: dict[str, Exception] = {}
        #: Fields of a status that others have written.
        self.theirs: set[str] = set()
        for manifest in present:
            self._store(Ref.of(manifest), manifest)

    @property
    def written(self) -> list[str]:
        return [asked for asked in self.asked if not asked.startswith(("get ", "list "))]

    def refuse(self, verb: str, ref: Ref | str, error: Exception) -> None:
        """Answer `error` to this request from now on."""
        self.refusals[f"{verb} {ref}"] = error

    def allow(self, verb: str, ref: Ref | str) -> None:
        del self.refusals[f"{verb} {ref}"]

    async def get(self, ref: Ref) -> Object | None:
        self._hear("get", ref)
        return copy.deepcopy(self.objects.get(ref))

    async def list_kind(self, ref: Ref, label_selector: str = "", field_selector: str = "") -> list[Object]:
        about = f" of {field_selector}" if field_selector else ""
        self._hear("list", f"{ref.kind} in {ref.namespace or 'all'}{about}")
        key, _, value = label_selector.partition("=")
        return [
            copy.deepcopy(found)
            for known, found in self.objects.items()
            if (known.api_version, known.kind) == (ref.api_version, ref.kind)
            and ref.namespace in ("", known.namespace)
            and (not key or (found["metadata"].get("labels") or {}).get(key) == value)
            and all(_matches(found, term) for term in field_selector.split(",") if term)
        ]

    async def create(self, manifest: Object) -> Object:
        ref = Ref.of(manifest)
        self._hear("create", ref.kind if ref.kind == "Event" else ref)
        if ref in self.objects:
            raise ChangedError(f"{ref} already exists")
        return self._store(ref, manifest)

    async def apply(self, manifest: Object, uid: str | None = None, subresource: str = "") -> Object:
        ref = Ref.of(manifest)
        self._hear(f"apply {subresource}".strip(), ref)
        present = self.objects.get(ref)
        if subresource and present is None:
            raise NotFoundError(f"{ref} not found")
        if uid and (present is None or present["metadata"]["uid"] != uid):
            raise ChangedError(f"{ref} is another one")
        stored = merged(present or {}, manifest)
        if ref.kind == "Pod":  # Of pods we own annotations alone, and lose those that an apply leaves out.
            stored["metadata"]["annotations"] = manifest["metadata"].get("annotations") or {}
        if subresource:  # The fields that we wrote before go with the apply that leaves them out; others' stay.
            theirs = {name: stored["status"][name] for name in self.theirs if name in stored["status"]}
            stored["status"] = theirs | manifest["status"]
        return self._store(ref, stored)

    async def drop_status(self, observed: Object, names: Sequence[str]) -> Object:
        ref = Ref.of(observed)
        self._hear("drop status", ref)
        status = {name: value for name, value in self.objects[ref]["status"].items() if name not in names}
        return self._store(ref, {**self.objects[ref], "status": status})

    async def set_finalizers(self, observed: Object, finalizers: list[str]) -> None:
        ref = Ref.of(observed)
        self._hear("finalize", ref)
        present = self.objects.get(ref)
        if present is None:
            raise NotFoundError(f"{ref} not found")
        if present["metadata"]["resourceVersion"] != observed["metadata"]["resourceVersion"]:
            raise ChangedError(f"{ref} changed")
        present["metadata"]["finalizers"] = finalizers
        self._store(ref, present)

    async def delete(self, ref: Ref, uid: str) -> None:
        self._hear("delete", ref)
        if ref in self.objects and self.objects[ref]["metadata"]["uid"] == uid:
            del self.objects[ref]

    @property
    def events(self) -> list[Object]:
        return [found for ref, found in self.objects.items() if ref.kind == "Event"]

    def annotated(self, name: str, value: str) -> set[str]:
        """The names of the pods that bear an annotation."""
        pods = [found["metadata"] for ref, found in self.objects.items() if ref.kind == "Pod"]
        return {pod["name"] for pod in pods if (pod.get("annotations") or {}).get(name) == value}

    def _hear(self, verb: str, ref: Ref | str) -> None:
        self.asked.append(f"{verb} {ref}")
        if (error := self.refusals.get(f"{verb} {ref}")) is not None:
            raise error

    def _store(self, ref: Ref, manifest: Object) -> Object:
        version = str(next(self._versions))
        described = {"uid": f"uid-{version}", **manifest["metadata"], "resourceVersion": version}
        self.objects[ref] = {**copy.deepcopy(manifest), "metadata": described}
        return copy.deepcopy(self.objects[ref])


def merged(present: Any, wanted: Any) -> Any:
    if not isinstance(present, dict) or not isinstance(wanted, dict):
        return copy.deepcopy(wanted)
    return {**present, **{key: merged(present.get(key), value) for key, value in wanted.items()}}


def _matches(found: Object, term: str) -> bool:
    """Whether an object is one that a term of a field selector asks for: `path=value` or `path!=value`."""
    path, _, value = term.partition("=")
    held: Any = found
    for name in path.rstrip("!").split("."):
        held = held.get(name, "")
    return (held != value) if path.endswith("!") else (held == value)
