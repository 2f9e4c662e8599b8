"""Writes a one-layer image as a docker-archive: what `buildah pull` and `ctr images import` read.

The base image and `pause` are a folder each, with nothing to run while they are made: that needs no builder.
"""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(archive: Path, tag: str, layer: Path, config: dict[str, object]) -> None:
    """Make `archive` an image named `tag` of one layer, a tar file; `config` is the image's own (Cmd, Env, …)."""
    with layer.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    image = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "tailrace test harness"}],
    }
    described = json.dumps(image, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [f"{digest}.tar"]}]
    with tarfile.open(archive, "w") as tar:
        tar.add(layer, f"{digest}.tar", recursive=False)
        add_bytes(tar, config_name, described)
        add_bytes(tar, "manifest.json", json.dumps(manifest).encode())


def renamed(archive: Path, target: Path, tag: str) -> Path:
    """The same image as `target`, named `tag`."""
    with tarfile.open(archive) as old, tarfile.open(target, "w") as new:
        for member in old:
            content = old.extractfile(member) if member.isreg() else None
            if member.name == "manifest.json" and content:
                manifest = [{**image, "RepoTags": [tag]} for image in json.load(content)]
                add_bytes(new, member.name, json.dumps(manifest).encode())
            elif member.name != "repositories":  # Names again, for programs of former times.
                new.addfile(member, content)
    return target


def add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put a file of this content into the tar."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    tar.addfile(info, io.BytesIO(content))
