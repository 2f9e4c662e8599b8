"""The images of the tests, made without a container registry: `pause`, a Debian base, and ours from their Dockerfiles.

    archive = images.build(
        ROOT / "images/operator/Dockerfile",
        context=ROOT,
        tag="localhost/tailrace-operator:test",
        key=images.content_key(ROOT / "images/operator", ROOT / "operator", ROOT / "uv.lock"),
        build_args={"BASE": images.BASE},
    )
    cluster.load_image(archive)  # pods then name the tag, with imagePullPolicy: IfNotPresent

`build` returns a docker-archive in the cache. It is built once per `key`: the caller says what the image depends on,
because only the caller knows what its Dockerfile copies. Build steps have the host's network and its CA bundle at
/etc/ssl/certs/ca-certificates.crt (mounted, not copied into the image); programs with roots of their own, such as uv
and pip, find it by SSL_CERT_FILE. BASE is the equivalent of debian:bookworm-slim, with Debian's own bundle beneath that
mount: it would leave an empty file otherwise, with which no client of TLS starts. Inside, apt works as on the host.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import archive, cache, packages, shell
from .binaries import GO_REMEDY, MODULES_DIR, say
from .errors import UnavailableError

PAUSE = "localhost/pause:dev"
SUITE = "bookworm"
#: Changes when the recipe of the base image below does.
BASE_RECIPE = "2"
BASE = f"localhost/tailrace-base:{SUITE}-{BASE_RECIPE}"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
FILE = "image.tar"
BUILD_S = 3600.0
#: What `bookworm-slim` leaves out as well: two thirds of the size of what nobody reads in a container.
SLIMMED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")


def pause() -> Path:
    """The archive of the image that holds a pod's namespaces: one static program that waits."""
    source = MODULES_DIR / "pause"
    key = cache.key(source / "go.mod", source / "main.go")
    return cache.entry("images", f"pause-{key}", make_pause) / FILE


def make_pause(draft: Path) -> None:
    go = shell.program("go", GO_REMEDY)
    rootfs = draft / "rootfs"
    command = [go, "build", "-buildvcs=false", "-ldflags=-s -w", "-o", rootfs / "pause", "."]
    shell.run(command, cwd=MODULES_DIR / "pause", env={"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""})
    pack(draft, PAUSE, {"Entrypoint": ["/pause"], "User": "65535:65535"})


def base() -> Path:
    """The archive of a minimal Debian, made by debootstrap from the mirror that apt uses here; a minute, once."""
    return cache.entry("images", f"base-{SUITE}-{BASE_RECIPE}", make_base) / FILE


def make_base(draft: Path) -> None:
    require_root()
    packages.require(packages.IMAGES)
    say("making the base image with debootstrap, first time only: about a minute")
    rootfs = draft / "rootfs"
    # Builds mount this machine's authorities over the image's own, so whether there are some cannot be seen then.
    make = ["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, rootfs, mirror()]
    shell.run(make, timeout_s=1200, nice=True)
    write_sources(rootfs)
    for name in SLIMMED:
        empty(rootfs / name)
    pack(draft, BASE, {"Cmd": ["bash"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]})


def pack(draft: Path, tag: str, config: dict[str, object]) -> None:
    """Turn `draft/rootfs` into the image archive, with the same bytes for the same files."""
    layer = draft / "layer.tar"
    owners = ["--numeric-owner", "--sort=name", "--mtime=@0", "--one-file-system"]
    shell.run(["tar", "-C", draft / "rootfs", *owners, "-cf", layer, "."])
    archive.write(draft / FILE, tag, layer, config)
    layer.unlink()
    shutil.rmtree(draft / "rootfs")


def mirror() -> str:
    """The Debian mirror that apt is set up with on this machine."""
    lines = shell.output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"]).splitlines()
    found = [line.split()[0] for line in lines if line.split()[-1:] == [SUITE]]
    return found[0] if found else "http://deb.debian.org/debian"


def write_sources(rootfs: Path) -> None:
    """Give the image the same mirror, with the security updates where the host has them."""
    lines = shell.output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"]).splitlines()
    pairs = sorted({line for line in lines if line.split()[-1].startswith(SUITE)}) or [f"{mirror()} {SUITE}"]
    (rootfs / "etc/apt/sources.list").write_text("".join(f"deb {pair} main\n" for pair in pairs))


def empty(folder: Path) -> None:
    """Remove what is in a folder, and keep its subfolders: programs expect them."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.is_dir() or path.is_symlink():
            path.unlink()


def build(
    dockerfile: Path,
    context: Path,
    tag: str,
    *,
    key: str,
    build_args: Mapping[str, str] | None = None,
    target: str | None = None,
) -> Path:
    """The docker-archive of an image named `tag`, from the cache or built by buildah.

    `key` is the hash of all that the image is made of (`content_key`); `target` names a stage of the Dockerfile.
    Raises UnavailableError without root or buildah, CommandError with buildah's last words when the build fails.
    """
    arguments = dict(build_args or {})
    name = (
        f"{tag.rpartition('/')[2].replace(':', '-')}-{cache.key(key, tag, str(sorted(arguments.items())), str(target))}"
    )
    return cache.entry("images", name, lambda draft: make(draft, dockerfile, context, tag, arguments, target)) / FILE


def make(draft: Path, dockerfile: Path, context: Path, tag: str, arguments: dict[str, str], target: str | None) -> None:
    require_root()
    packages.require(packages.IMAGES)
    options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    options += [f"--target={target}"] if target else []
    options += [f"--volume={CA_BUNDLE}:{CA_BUNDLE}:ro"] if CA_BUNDLE.exists() else []
    how = ["--isolation=chroot", "--network=host", "--layers", f"--tag={tag}", f"--file={dockerfile}"]
    # One at a time: what one build prunes, another may be about to use.
    with cache.locked(cache.root() / "buildah.lock"):
        if BASE in arguments.values():
            import_base()
        say(f"building the image {tag}")
        if cache.is_short_of_disk():
            # What no image is made of any more; steps of earlier builds among it, which then have to be run again.
            shell.run([*buildah(), "rmi", "--prune"], check=False)
        shell.run([*buildah(), "build", *how, *options, context], timeout_s=BUILD_S, nice=True)
        shell.run([*buildah(), "push", tag, f"docker-archive:{draft / FILE}:{tag}"], timeout_s=BUILD_S, nice=True)


def import_base() -> None:
    """Put the base image into buildah's storage, unless it is there."""
    if shell.run([*buildah(), "inspect", "--type=image", BASE], check=False).returncode:
        shell.run([*buildah(), "pull", f"docker-archive:{base()}"])


def buildah() -> list[str]:
    """buildah with all that it keeps inside the cache: the machine's own images are neither seen nor touched."""
    home = cache.root() / "buildah"
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    return ["env", f"TMPDIR={home / 'tmp'}", "buildah", f"--root={home / 'storage'}", f"--runroot={home / 'run'}"]


def require_root() -> None:
    if os.geteuid() != 0:
        raise UnavailableError("images are built by debootstrap and buildah, which need root: run this as root")


def content_key(*paths: Path) -> str:
    """The hash of files and folders as git sees them: ignored files (environments, caches) do not count."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *map(str, paths)]
    top = Path(shell.output(["git", "rev-parse", "--show-toplevel"], cwd=paths[0].parent).strip())
    listed = subprocess.run(command, cwd=top, check=True, capture_output=True).stdout.decode().split("\0")
    files = sorted(name for name in set(listed) if name and (top / name).is_file())
    return cache.key(*(part for name in files for part in (name, top / name)))
