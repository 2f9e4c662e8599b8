"""Runs Helm on the chart: what it renders as objects, what it refuses as a message."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from harness import binaries

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tailrace"
CASES = sorted((CHART / "ci").glob("*.yaml"))
Object = dict[str, Any]


class RefusedError(Exception):
    """Helm did not render; the message is what the admin reads."""


@dataclass(frozen=True)
class Objects:
    """What a release consists of, in Helm's order."""

    items: tuple[Object, ...]

    def __iter__(self) -> Iterator[Object]:
        return iter(self.items)

    def of(self, kind: str) -> list[Object]:
        return [item for item in self.items if item["kind"] == kind]

    def one(self, kind: str, suffix: str = "") -> Object:
        """The only object of this kind whose name ends so."""
        found = [item for item in self.of(kind) if item["metadata"]["name"].endswith(suffix)]
        assert len(found) == 1, f"{len(found)} objects {kind} *{suffix}"
        return found[0]

    def none(self, kind: str, suffix: str = "") -> bool:
        return not [item for item in self.of(kind) if item["metadata"]["name"].endswith(suffix)]

    def pods(self) -> dict[str, tuple[Object, Object]]:
        """Metadata and spec of every pod that the release runs, by a name for messages."""
        found = {}
        for item in self.items:
            pod = item if item["kind"] == "Pod" else item.get("spec", {}).get("template")
            if item["kind"] in ("Pod", "Deployment", "StatefulSet", "Job"):
                found[f"{item['kind']} {item['metadata']['name']}"] = (pod["metadata"], pod["spec"])
        return found


def find() -> Path:
    """Helm from the PATH, or the one that the cluster harness builds. UnavailableError where there is neither."""
    found = shutil.which("helm")
    return Path(found) if found else binaries.path("helm")


@dataclass(frozen=True)
class Helm:
    """A Helm binary, with a folder for its caches."""

    binary: Path
    home: Path
    #: What was rendered already: rendering takes a while, and gives the same every time (which a test holds).
    rendered: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def run(self, *arguments: str | Path, stdin: str = "") -> str:
        """What Helm prints. RefusedError with its words when it fails."""
        folders = {f"HELM_{kind}_HOME": str(self.home / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        folders["HOME"] = str(self.home)
        command = [self.binary, *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=60, env=folders, check=False
        )
        if done.returncode:
            raise RefusedError(done.stderr.strip())
        return done.stdout

    def template(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        release: str = "tailrace",
        namespace: str = "tailrace-system",
        files: tuple[Path, ...] = (),
        arguments: tuple[str, ...] = (),
    ) -> Objects:
        """The objects of a release with these values on top of those in `files`."""
        given = [f"--values={file}" for file in files]
        command = ("template", release, str(CHART), f"--namespace={namespace}", *given, "--values=-", *arguments)
        stdin = yaml.safe_dump(dict(values or {}))
        key = f"{command} {stdin}"
        if key not in self.rendered:
            self.rendered[key] = self.run(*command, stdin=stdin)
        # Parsed anew each time, so that no test sees what another one changed. The C parser is ten times as fast.
        return Objects(tuple(item for item in yaml.load_all(self.rendered[key], yaml.CSafeLoader) if item))

    def notes(self, values: Mapping[str, Any] | None = None) -> str:
        """What the admin reads after an installation."""
        arguments = ("install", "tailrace", CHART, "--namespace=tailrace-system", "--dry-run=client", "--values=-")
        return self.run(*arguments, stdin=yaml.safe_dump(dict(values or {}))).partition("NOTES:")[2]
