"""A pod's volumes as directories of this machine, and its paths rewritten to them.

A container sees `/etc/tailrace/worker.json`; a process sees the file where it really lies. Whole paths below a mount
are rewritten, also after a name (`adapter=/models/a`), in commands, variables and the strings of mounted JSON files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace_operator.render import Manifest
from tailrace_operator.resources.pod import VOLUME_PREFIX


@dataclass(frozen=True, slots=True)
class Places:
    """Where the machine keeps what pods mount. `model_root` is what `/models` of a node stands for."""

    configs: Path
    secrets: Path
    model_root: Path
    node_model_root: str = "/models"

    def directory(self, volume: Manifest) -> Path:
        """The directory that stands for a volume."""
        if "configMap" in volume:
            return self.configs / str(volume["configMap"]["name"])
        if "secret" in volume:
            return self.secrets
        path = str(volume["hostPath"]["path"])
        return Path(_moved(path, self.node_model_root, self.model_root))


@dataclass(frozen=True, slots=True)
class Mounts:
    """The mounts of one container: path in the container → directory on the machine."""

    directories: Mapping[str, Path]

    @classmethod
    def of(cls, pod: Manifest, places: Places) -> "Mounts":
        """The mounts of the pod's main container. Temporary directories are the machine's own, others' unknown."""
        ours = [v for v in pod["volumes"] if v["name"].startswith(VOLUME_PREFIX) and "emptyDir" not in v]
        volumes = {volume["name"]: places.directory(volume) for volume in ours}
        mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] in volumes]
        return cls({mount["mountPath"]: volumes[mount["name"]] for mount in mounts})

    def rewritten(self, value: Any) -> Any:
        """`value` with every path below a mount, in strings at any depth, as a path of the machine."""
        match value:
            case str():
                return self._path(value)
            case list():
                return [self.rewritten(item) for item in value]
            case dict():
                return {key: self.rewritten(item) for key, item in value.items()}
            case _:
                return value

    def write_config(self, config: Manifest, places: Places) -> None:
        """Put a ConfigMap's files where its volume is, with the paths in JSON files rewritten."""
        directory = places.configs / str(config["metadata"]["name"])
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in config["data"].items():
            is_json = name.endswith(".json")
            (directory / name).write_text(self._rewritten_json(text) if is_json else text)

    def _rewritten_json(self, text: str) -> str:
        return json.dumps(self.rewritten(json.loads(text)), indent=2) + "\n"

    def _path(self, text: str) -> str:
        name, equals, value = text.rpartition("=")
        for mount, directory in self.directories.items():
            moved = _moved(value, mount, directory)
            if moved != value:
                return name + equals + moved
        return text


def _moved(path: str, root: str, to: Path) -> str:
    if path == root or path.startswith(root + "/"):
        return str(to) + path[len(root) :]
    return path
