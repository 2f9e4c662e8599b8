"""images/build.py and the chart agree: what one names on any registry, the other asks for."""

import importlib.util
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from .helm import ROOT

PAGE = (ROOT / "docs" / "install.md").read_text()
REGISTRIES = ("registry.example.com", "r.example.com:5000", "r.example.com/team/a")


def recipes():
    spec = importlib.util.spec_from_file_location("tailrace_image_recipes", ROOT / "images" / "build.py")
    assert spec is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILD = recipes()


def asked_for(objects):
    """Every image that a release runs, or has the operator run."""
    settings = yaml.safe_load(objects.one("ConfigMap", "-operator")["data"]["operator.yaml"])
    containers = [container for _, spec in objects.pods().values() for container in spec["containers"]]
    return {*settings["images"].values(), *(container["image"] for container in containers)}


def chapter(heading):
    found = re.search(rf"^## {heading}\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def built(heading):
    """What the command of a chapter builds and pushes, as the script itself tells."""
    [line] = re.findall(r"^\$ (python3 images/build\.py .*)$", chapter(heading), re.MULTILINE)
    command = [*shlex.split(line), "--print", "--tool=docker"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = set(re.findall(r"--tag (\S+)", done.stdout))
    assert names == set(re.findall(r"^docker push (\S+)$", done.stdout, re.MULTILINE))
    return names


@pytest.mark.parametrize("registry", REGISTRIES)
def test_the_chart_asks_for_the_names_that_are_built_for_its_registry(helm, registry):
    names = {BUILD.reference(registry, name, BUILD.version()) for name in BUILD.IMAGES}
    asked = asked_for(helm.template({"images": {"registry": registry}}))
    assert {image for image in asked if "tailrace/" in image} == names - {f"{registry}/tailrace/nats:0.1.0"}


def test_without_the_internet_a_release_asks_for_just_what_was_pushed(helm):
    [values] = re.findall(r"```yaml\n(.*?)```", chapter("Without the internet"), re.DOTALL)
    assert asked_for(helm.template(yaml.safe_load(values))) == built("Without the internet")


def test_the_page_installs_from_the_registry_that_it_pushes_to(helm):
    [registry] = re.findall(r"--set images\.registry=(\S+)", chapter("Install"))
    asked = asked_for(helm.template({"images": {"registry": registry}}))
    assert built("Images") <= asked
    assert {name.rpartition("/")[2] for name in asked - built("Images")} == {
        "worker-simulated:0.1.0",
        "nats:2.15.1-alpine",
    }
