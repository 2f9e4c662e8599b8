"""containerd's folder with images already in it, made once and given to every node as hard links.

Unpacking an image of 6 GB takes minutes, and on two nodes twice the disk; linking its files takes seconds and none.
What containerd keeps of images it never writes to again: layers are the lower folders of overlays, and their blobs are
dropped, as nothing reads them once they are unpacked. Its databases are copied. A store extends the one of the images
before it, so that a new image costs only itself: name the large and lasting ones first.
"""

from collections.abc import Sequence
from pathlib import Path

from . import cache, node_config, shell
from .binaries import say

CONTAINERD = "containerd"
SCRIPT = """
mount -t tmpfs -o mode=755 tmpfs /run
containerd --config "$1/containerd.toml" >"$1/containerd.log" 2>&1 &
until ctr version >/dev/null 2>&1; do kill -0 $!; sleep 0.1; done
ctr -n k8s.io images import - >&2
ctr -n k8s.io content prune references >&2
kill $!; wait $!
"""


def store(archives: Sequence[Path]) -> Path:
    """A folder for a node's containerd with the images of these archives; made on first use."""
    *before, last = archives
    parent = store(before) if before else None
    name = cache.key(*(identity(archive) for archive in archives))
    return cache.entry("stores", f"store-{name}", lambda draft: extend(draft, parent, last)) / CONTAINERD


def identity(archive: Path) -> str:
    """What tells one archive from another; in the cache, folders are named after the content."""
    if archive.is_relative_to(cache.root()):
        return archive.parent.name
    seen = archive.stat()
    return f"{archive.resolve()} {seen.st_size} {seen.st_mtime_ns}"


def extend(draft: Path, parent: Path | None, archive: Path) -> None:
    """Import an image with a containerd that runs for this alone, in namespaces that end with it."""
    if archive.stat().st_size > 1 << 30:
        say(f"unpacking {archive.parent.name}, {archive.stat().st_size >> 30} GB, once per image")
    root = draft / CONTAINERD
    if parent:
        clone(parent, root)
    # No pods, no networks: what would be their folder goes with the namespace's /run.
    (draft / "containerd.toml").write_text(node_config.containerd(Path("/run/cni"), root))
    sandbox = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    with archive.open("rb") as content:
        shell.run([*sandbox, "sh", "-euc", SCRIPT, "store", draft], stdin=content, timeout_s=1800)


def clone(source: Path, target: Path) -> None:
    """The same files at another place, by hard links if that is on the same disk; databases are copies."""
    same_disk = source.stat().st_dev == target.parent.stat().st_dev
    shell.run(["cp", "-a", "--link" if same_disk else "--reflink=auto", source, target])
    for database in target.glob("io.containerd.*/*.db") if same_disk else ():
        copy = database.with_suffix(".copy")
        shell.run(["cp", "-p", database, copy])
        copy.rename(database)
