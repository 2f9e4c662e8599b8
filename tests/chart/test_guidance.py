"""What admins read: the notes after an installation, the test of a release."""

import ast
import re

import pytest
import yaml
from tailrace_operator.resources import StreamingModel

from .helm import CHART, ROOT, RefusedError

FIRST = (ROOT / "docs" / "first-model.md").read_text()
README = (ROOT / "README.md").read_text()
EXTERNAL = {"nats": {"enabled": False, "external": {"servers": ["nats://a:4222"]}}}


def test_the_notes_lead_to_a_first_model_that_the_operator_accepts(helm):
    notes = helm.notes()
    _, _, rest = notes.partition("<<EOF\n")
    document, end, _ = rest.partition("\nEOF\n")
    assert end, "a shell finds the end of the document at the beginning of a line alone"
    assert StreamingModel.parse(yaml.safe_load(document)).key.name == "qwen"
    for step in ("helm test tailrace -n tailrace-system", "kubectl apply -n default", "--watch", "curl -N"):
        assert step in notes


def test_the_notes_name_a_namespace_that_is_watched(helm):
    notes = helm.notes({"watchNamespaces": ["team-a", "team-b"]})
    assert "serves models in team-a, team-b" in notes
    assert "kubectl apply -n team-a" in notes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "there is one NATS server"),
        ({"nats": {"jetstream": {"fileStore": {"pvc": {"enabled": False}}}}}, "lost when its pod moves"),
        ({"nats": {"auth": {"create": False}}}, "NATS waits for the Secret tailrace-nats-auth"),
        (EXTERNAL, "keys operator, gateway, worker, advisory"),
    ],
    ids=["one server", "no volume", "own secret", "external"],
)
def test_the_notes_warn_of_what_the_values_cost(helm, values, words):
    assert words in helm.notes(values)


def test_the_notes_of_a_production_release_warn_of_nothing(helm):
    assert "NOTE" not in helm.notes({"nats": {"replicas": 3}})


def test_the_release_test_asks_operator_nats_and_api_server_with_the_operators_image(helm):
    objects = helm.template(release="r", namespace="x")
    pod = objects.one("Pod")
    [container] = pod["spec"]["containers"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container["image"] == objects.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    variables = {item["name"]: item["value"] for item in container["env"]}
    assert variables["OPERATOR_HEALTH"] == "http://r-tailrace-operator.x.svc:8081/healthz"
    assert yaml.safe_load(variables["NATS_SERVERS"]) == ["nats://r-tailrace-nats.x.svc:4222"]
    script = objects.one("ConfigMap", "-test")["data"]["check_installation.py"]
    assert ast.parse(script)
    assert script.strip() == (CHART / "files" / "check_installation.py").read_text().strip()


def test_the_release_test_does_not_run_with_the_release(helm):
    hooks = [item for item in helm.template() if item["metadata"]["name"].endswith("-test")]
    assert len(hooks) == 3
    assert all(item["metadata"]["annotations"]["helm.sh/hook"] == "test" for item in hooks)


def test_older_kubernetes_is_refused_with_its_version(helm):
    with pytest.raises(RefusedError, match=r">=1\.30\.0"):
        helm.template(arguments=("--kube-version=1.29.9",))
    assert helm.template(arguments=("--kube-version=1.30.0",))


@pytest.mark.parametrize("page", [README, FIRST], ids=["README", "first-model"])
def test_the_first_model_runs_on_any_cluster_and_survives_the_loss_of_a_worker(page):
    [file] = re.findall(r"^\$ kubectl apply -f (examples/\S+)", page, re.MULTILINE)
    model = StreamingModel.parse(yaml.safe_load((ROOT / file).read_text()))
    assert model.spec.resources.gpu is None
    assert model.spec.model.cache is None
    assert model.spec.replicas > 1


def test_the_readme_leads_to_where_the_page_goes_on():
    for command in re.findall(r"^\$ (?:python3 images|helm install|kubectl apply -f \w)[^#\n]*", README, re.MULTILINE):
        assert command.strip() in FIRST


def test_the_pages_model_for_a_gpu_is_accepted():
    [document] = re.findall(r"<<'END'\n(.*?)\nEND\n", FIRST, re.DOTALL)
    assert StreamingModel.parse(yaml.safe_load(document)).spec.resources.gpu.count == 1


def test_what_the_page_says_of_names_is_what_the_page_uses():
    [name] = set(re.findall(r'"model":"(\w+)"', FIRST))
    assert set(re.findall(r"kubectl (?:get|describe|wait|scale|delete) sm[ /](\w+)", FIRST)) == {name}
