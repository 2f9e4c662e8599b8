"""Build Tailrace's images: `python3 images/build.py [--registry HOST --push] [--base IMAGE] [gateway operator ...]`.

Without names all of them are built, GPU worker and CPU worker (6 GB each and more) included. They are named as the
chart asks for them when its `images.registry` is the same registry. Needs docker, podman or buildah, and nothing else
but Python.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("docker", "podman", "buildah")
#: The chart's own `images.registry`, and the folder of a registry that all its `images.….repository` lie in.
HOST, FOLDER = "ghcr.io", "tailrace"
#: What the names of a release's images begin with.
REGISTRY = f"{HOST}/{FOLDER}"


@dataclass(frozen=True)
class Image:
    """One image: its recipe, its stage of the recipe, and the folders of the repository that it is made of."""

    name: str
    dockerfile: str
    target: str | None
    sources: tuple[str, ...]
    large: bool = False

    @property
    def inputs(self) -> list[Path]:
        """Everything that a change of may change the image."""
        common = ("pyproject.toml", "uv.lock", "LICENSE", ".dockerignore", "scripts/bootstrap.py", "images/install.sh")
        return [ROOT / name for name in (*common, self.dockerfile, *self.sources)]


def _python(name: str, folder: str, *, large: bool = False) -> Image:
    return Image(name, "images/Dockerfile", name, ("protocol", "broker", folder), large)


IMAGES = {
    image.name: image
    for image in (
        _python("operator", "operator"),
        _python("gateway", "gateway"),
        _python("fetcher", "fetcher"),
        _python("worker-simulated", "worker"),
        _python("worker-cpu", "worker", large=True),
        Image(
            "worker", "images/worker/Dockerfile", None, ("protocol", "broker", "worker", "images/worker"), large=True
        ),
        Image("nats", "images/Dockerfile", "nats", ()),
    )
}


def version() -> str:
    """The version of the workspace."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def revision() -> str:
    """The commit that is checked out; marked when it is not what is built, `unknown` outside of git."""
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def build_arguments(tag: str, base: str | None) -> dict[str, str]:
    """The recipe's arguments."""
    arguments = {"VERSION": tag, "REVISION": revision()}
    return arguments | ({"BASE": base} if base else {})


def command(tool: str, image: Image, tag: str, arguments: dict[str, str], options: list[str]) -> list[str]:
    """How `tool` builds `image` under the full name `tag`."""
    parts = [tool, "build", "--file", str(ROOT / image.dockerfile), "--tag", tag]
    parts += ["--target", image.target] if image.target else []
    parts += ["--layers"] if tool != "docker" else []
    for name, value in arguments.items():
        parts += ["--build-arg", f"{name}={value}"]
    return [*parts, *options, str(ROOT)]


def reference(registry: str, name: str, tag: str) -> str:
    """The full name of an image, for a chart whose `images.registry` is `registry`."""
    return f"{registry.rstrip('/')}/{FOLDER}/{name}:{tag}"


def find_tool() -> str | None:
    """The first tool that this machine has."""
    return next((tool for tool in TOOLS if shutil.which(tool)), None)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; exits with a sentence where it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help=f"which of {', '.join(IMAGES)}; all when none is named"
    )
    parser.add_argument("--tool", choices=TOOLS, help="what builds; the first that is installed")
    parser.add_argument("--base", help="the Debian that the images stand on, instead of the recipe's")
    parser.add_argument("--vllm-base", help="the image with vLLM that the worker for GPUs stands on, likewise")
    parser.add_argument("--registry", default=HOST, help="the registry, as the chart's images.registry [%(default)s]")
    parser.add_argument("--push", action="store_true", help="push them there once all are built; log in before")
    parser.add_argument("--version", default=version(), help="the tag and version label [%(default)s]")
    parser.add_argument("--option", action="append", default=[], help="passed to the tool, such as --option=--no-cache")
    parser.add_argument("--print", action="store_true", help="print the commands, and run none")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.images if name not in IMAGES]:
        parser.error(f"there is no image {unknown[0]!r}; there are {', '.join(IMAGES)}")
    options.tool = options.tool or find_tool()
    if options.tool is None:
        parser.error(f"none of {', '.join(TOOLS)} is installed: install one, or name one with --tool")
    return options


def commands(options: argparse.Namespace) -> Iterator[list[str]]:
    """What is to be run: every build, and then every push, so that no half of a release is pushed."""
    names = {name: reference(options.registry, name, options.version) for name in options.images or IMAGES}
    for name, full in names.items():
        base = options.vllm_base if name == "worker" else options.base
        yield command(options.tool, IMAGES[name], full, build_arguments(options.version, base), options.option)
    if options.push:
        yield from ([options.tool, "push", full] for full in names.values())


def main() -> int:
    """Build; the exit status is that of the first command that fails."""
    options = parse(sys.argv[1:])
    for line in commands(options):
        print(shlex.join(line), flush=True)
        status = 0 if options.print else subprocess.run(line, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
