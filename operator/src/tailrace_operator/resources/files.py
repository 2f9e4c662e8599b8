"""Reading resources from YAML files, as strictly as an API server with field validation would."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tailrace_operator.resources.complaints import Path as FieldPath
from tailrace_operator.resources.complaints import complaints, nearest, spelled
from tailrace_operator.resources.gateway import StreamingGateway
from tailrace_operator.resources.metadata import API_VERSION
from tailrace_operator.resources.model import StreamingModel


class FileError(Exception):
    """A file that cannot be used; the message has one line per fault, each naming file, line, field and remedy."""


@dataclass(frozen=True, slots=True)
class _Document:
    file: Path
    node: yaml.Node
    content: Any

    def fault(self, path: FieldPath, sentence: str) -> str:
        place = f"{self.file}:{_line_of(self.node, path)}"
        return f"{place}: {spelled(path)}: {sentence}" if path else f"{place}: {sentence}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What some files hold, in their order."""

    models: list[StreamingModel]
    gateways: list[StreamingGateway]


def load(files: list[Path]) -> Loaded:
    """All resources in `files`; a file may hold several documents.

    Raises:
        FileError: a file that cannot be read, is no YAML, or holds something else than valid resources of ours; or no
            StreamingModel in any of them.
    """
    resources = [_resource(document) for file in files for document in _documents(file)]
    models = [resource for resource in resources if isinstance(resource, StreamingModel)]
    gateways = [resource for resource in resources if isinstance(resource, StreamingGateway)]
    for kind in (models, gateways):
        _refuse_repeated_names(files, kind)
    if not models:
        raise FileError(f"{', '.join(map(str, files))}: no StreamingModel in it; examples/ shows how one is written")
    return Loaded(models, gateways)


def _refuse_repeated_names(files: list[Path], resources: Sequence[StreamingModel | StreamingGateway]) -> None:
    names = [f"{resource.metadata.namespace}.{resource.metadata.name}" for resource in resources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileError(f"{', '.join(map(str, files))}: metadata.name: {twice[0]} is there twice: rename one")


def _documents(file: Path) -> list[_Document]:
    try:
        text = file.read_text()
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror}); name a YAML file, like {_EXAMPLE}") from None
    except UnicodeDecodeError:
        raise FileError(f"{file}: is no text file; name a YAML file, like {_EXAMPLE}") from None
    try:
        pairs = list(zip(yaml.compose_all(text, yaml.SafeLoader), yaml.safe_load_all(text), strict=True))
    except yaml.YAMLError as error:
        raise FileError(f"{file}{_place(error)}: is not YAML: {_problem(error)}") from None
    documents = [_Document(file, node, content) for node, content in pairs if content is not None]
    for document in documents:
        _refuse_repeated_keys(document, document.node, ())
    return documents


_EXAMPLE = "examples/smollm2.yaml"
_KINDS: dict[str, type[StreamingModel] | type[StreamingGateway]] = {
    kind.kind_name: kind for kind in (StreamingModel, StreamingGateway)
}


def _resource(document: _Document) -> StreamingModel | StreamingGateway:
    kind = _kind_of(document)
    content = document.content
    metadata = content.get("metadata")
    if isinstance(metadata, dict) and "creationTimestamp" not in metadata:
        content = content | {"metadata": metadata | {"creationTimestamp": _written_at(document.file)}}
    try:
        return kind.parse(content)
    except ValidationError as error:
        faults = [document.fault(path, sentence) for path, sentence in complaints(error)]
        raise FileError("\n".join(faults)) from None


def _kind_of(document: _Document) -> type[StreamingModel] | type[StreamingGateway]:
    if not isinstance(document.content, dict):
        raise FileError(document.fault((), "is no Kubernetes object: it must begin with apiVersion and kind"))
    _one_of(document, "apiVersion", [API_VERSION])
    return _KINDS[_one_of(document, "kind", list(_KINDS))]


def _one_of(document: _Document, field: str, known: list[str]) -> str:
    value = document.content.get(field)
    if value is None:
        raise FileError(document.fault((field,), f"is required: write {field}: {known[0]}"))
    if value not in known:
        meant = nearest(str(value), known)
        hint = f"did you mean {meant}?" if meant else f"only {' and '.join(known)} can be run; leave this object out"
        raise FileError(document.fault((field,), f"{value!r} is not known here; {hint}"))
    return str(value)


def _written_at(file: Path) -> str:
    return datetime.fromtimestamp(int(file.stat().st_mtime), UTC).isoformat()


def _refuse_repeated_keys(document: _Document, node: yaml.Node, path: FieldPath) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _refuse_repeated_keys(document, item, (*path, index))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        inner = (*path, str(key.value))
        if key.value in seen:
            raise FileError(
                f"{document.file}:{key.start_mark.line + 1}: {spelled(inner)}: is there twice: remove one of them"
            )
        seen.add(key.value)
        _refuse_repeated_keys(document, value, inner)


def _line_of(node: yaml.Node, path: FieldPath) -> int:
    """The line of the deepest part of `path` that is there."""
    line = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
            continue
        entries = {key.value: (key, value) for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
        if part not in entries:
            break
        key, node = entries[part]
        line = key.start_mark.line + 1
    return line


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    context = getattr(error, "context", None)
    return f"{problem} ({context})" if context else str(problem)
