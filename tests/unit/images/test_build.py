"""The build script: one line builds any image with any tool, and says what it cannot do."""

import re
import subprocess
import tomllib

import pytest

from .scripts import ROOT, script

build = script("build.py")
RECIPE = (ROOT / "images" / "Dockerfile").read_text()


@pytest.mark.parametrize("image", build.IMAGES.values(), ids=build.IMAGES)
def test_an_image_is_a_stage_of_a_recipe_that_is_there(image):
    recipe = (ROOT / image.dockerfile).read_text()
    assert image.target is None or f"\nFROM runtime AS {image.target}\n" in recipe or image.target == "nats"
    assert all(path.exists() for path in image.inputs)


def test_every_image_of_the_recipe_can_be_built_by_name():
    stages = set(re.findall(r"^FROM (?:runtime|scratch) AS (\S+)$", RECIPE, re.MULTILINE))
    assert stages == {image.target for image in build.IMAGES.values() if image.target}


def test_what_a_recipe_copies_is_among_the_inputs_of_its_images():
    """Otherwise a change of it would not lead to a new image in the tests."""
    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    copied = set(re.findall(r"^COPY (\w+) \w+$", RECIPE, re.MULTILINE)) - {"LICENSE"}
    known = {source for image in build.IMAGES.values() for source in image.sources}
    assert copied <= known
    assert set(re.findall(r"^COPY (\w+)/pyproject\.toml", RECIPE, re.MULTILINE)) == set(members)


@pytest.mark.parametrize("path", ["images/Dockerfile", "images/worker/Dockerfile"])
def test_what_a_step_sees_by_a_mount_is_copied_as_a_checksum_before_it(path):
    """buildah takes a step from its cache although what is mounted has changed; not when a copied file has."""
    steps = re.split(r"^FROM ", (ROOT / path).read_text(), flags=re.MULTILINE)
    mounting = [step for step in steps if "type=bind,from=" in step]
    assert mounting
    for step in mounting:
        stage = re.search(r"type=bind,from=(\w+)", step).group(1)
        before = step[: step.index("type=bind")]
        assert f"COPY --from={stage} /src/inputs.sha256 /etc/tailrace-inputs.sha256\n" in before


def test_a_workspace_member_is_in_the_context():
    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    admitted = (ROOT / ".dockerignore").read_text().splitlines()
    assert all(f"!{member}" in admitted for member in members)


@pytest.mark.parametrize("tool", build.TOOLS)
def test_the_command_names_recipe_stage_tag_and_arguments(tool):
    line = build.command(tool, build.IMAGES["gateway"], "r/gateway:1", {"VERSION": "1"}, ["--no-cache"])
    joined = " ".join(line)
    assert line[:2] == [tool, "build"]
    assert f"--file {ROOT / 'images/Dockerfile'}" in joined
    assert "--target gateway" in joined
    assert "--tag r/gateway:1" in joined
    assert "--build-arg VERSION=1" in joined
    assert line[-2:] == ["--no-cache", str(ROOT)]
    assert ("--layers" in line) == (tool != "docker"), "docker knows no such option"


def printed(*arguments):
    done = subprocess.run(
        ["python3", ROOT / "images/build.py", "--print", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_without_names_every_image_is_built():
    status, lines = printed("--tool", "buildah")
    assert status == 0
    assert [line.split("--tag ")[1].split()[0].split("/")[-1].split(":")[0] for line in lines.splitlines()] == list(
        build.IMAGES
    )


def test_the_base_of_debian_images_is_not_given_to_the_one_that_stands_on_vllm():
    _, lines = printed("--tool", "buildah", "--base", "debian:x", "gateway", "worker")
    gateway, worker = lines.splitlines()
    assert "BASE=debian:x" in gateway
    assert "BASE" not in worker
    _, line = printed("--tool", "buildah", "--vllm-base", "vllm:x", "worker")
    assert "BASE=vllm:x" in line


def test_tags_and_labels_carry_the_version():
    _, line = printed("--tool", "buildah", "--registry", "r.example:5000/t/", "--version", "9.8.7", "gateway")
    assert "--tag r.example:5000/t/tailrace/gateway:9.8.7 " in line
    assert "VERSION=9.8.7" in line
    assert re.search(r"REVISION=([0-9a-f]{40}(-dirty)?|unknown)", line)


@pytest.mark.parametrize("tool", build.TOOLS)
def test_all_are_built_before_the_first_is_pushed(tool):
    _, lines = printed("--tool", tool, "--registry", "r.example", "--version", "1", "--push", "gateway", "operator")
    first, second, *pushes = lines.splitlines()
    assert "--tag r.example/tailrace/gateway:1 " in first
    assert "--tag r.example/tailrace/operator:1 " in second
    assert pushes == [f"{tool} push r.example/tailrace/{name}:1" for name in ("gateway", "operator")]


def test_nothing_is_pushed_unless_asked_for():
    assert " push " not in printed("--tool", "docker")[1]


def test_an_unknown_image_is_refused_with_the_known_ones():
    status, words = printed("--tool", "buildah", "gatway")
    assert status == 2
    assert "there is no image 'gatway'; there are operator, gateway" in words
