"""Running the fetcher in tests: inside the test, or as the process that a pod runs."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tailrace_fetcher.download import download
from tailrace_fetcher.progress import Progress
from tailrace_protocol.fetch import FetchReport, FetchSettings, FetchSource

CONFIG = b'{"architectures": ["LlamaForCausalLM"]}\n'


def make_model(root: Path, *, weights: int = 3_000_000, shards: int = 2) -> dict[str, bytes]:
    """A directory like a repository's, with weights of random bytes; what vLLM needs of it, by name."""
    needed = {
        "config.json": CONFIG,
        "tokenizer.json": b"{}" * 500,
        "merges.txt": b"",
        "chat_template.jinja": b"{{ m }}",
    }
    for number in range(1, shards + 1):
        needed[f"model-{number:05}-of-{shards:05}.safetensors"] = os.urandom(weights)
    spare = {
        "README.md": b"# hello",
        "pytorch_model.bin": b"old",
        "original/consolidated.00.pth": b"old",
        "m.gguf": b"g",
    }
    for name, data in {**needed, **spare}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return needed


def settings(target: Path, source: FetchSource, **changes: Any) -> FetchSettings:
    base = FetchSettings(
        namespace="prod", model="m", target=str(target), source=source, give_up_s=20.0, lock_lease_s=1.0
    )
    changes = {"termination_file": str(target.parent / "termination-log"), **changes}
    return msgspec.structs.replace(base, **changes)


async def fetch(given: FetchSettings) -> FetchReport:
    """Fetch inside the test; the last report."""
    progress = Progress()
    await download(given, progress)
    return progress.report(given)


def content(directory: Path) -> dict[str, bytes]:
    """All files of a fetched model but the manifest."""
    files = {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert files.pop(".tailrace-complete.json")
    return files


@dataclass
class FetcherProcess:
    """`python -m tailrace_fetcher`, stopped by its own id."""

    given: FetchSettings
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.termination = Path(self.given.termination_file)
        self.termination.touch()
        self._log = self.folder / "log"
        file = self.folder / "fetch.json"
        file.write_bytes(msgspec.json.encode(self.given))
        self.start(file)

    def start(self, file: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "AWS_"))}
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "tailrace_fetcher", "--settings", str(file)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**clean, "AWS_EC2_METADATA_DISABLED": "true", **self.env},
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait(self, seconds: float = 40) -> int:
        return self.popen.wait(seconds)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(10)

    def close(self) -> None:
        if self.popen.poll() is None:
            self.kill()


def until(true: Callable[[], bool], seconds: float = 20, *, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


def largest(folder: Path) -> int:
    """The bytes of the largest file in a folder in which files come and go; 0 without any."""
    sizes = [0]
    for file in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return max(sizes)
