"""Wrong YAML files: one line per fault, naming file, line, field and remedy."""
# ruff: noqa: E501 - a file and what is said about it, side by side

import pytest
from tailrace_operator.resources.files import FileError, load

GOOD = """\
apiVersion: tailrace.dev/v1alpha1
kind: StreamingModel
metadata:
  name: echo
spec:
  engine:
    simulated:
      maxStreams: 4
"""


def write(tmp_path, text):
    file = tmp_path / "model.yaml"
    file.write_text(text)
    return file


def complaint(tmp_path, text):
    with pytest.raises(FileError) as caught:
        load([write(tmp_path, text)])
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_a_good_file_with_two_documents_and_empty_ones(tmp_path):
    models = load([write(tmp_path, f"---\n---\n{GOOD}---\n{GOOD.replace('echo', 'other')}---\n")]).models

    assert [model.metadata.name for model in models] == ["echo", "other"]
    assert models[0].metadata.creation_timestamp is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("maxStreams", "maxStream"), "model.yaml:8: spec.engine.simulated.maxStream: is no known field; did you mean maxStreams?"),
        (GOOD.replace("maxStreams", "max_streams"), "model.yaml:8: spec.engine.simulated.max_streams: is no known field; did you mean maxStreams?"),
        (GOOD.replace("maxStreams", "xyz"), "model.yaml:8: spec.engine.simulated.xyz: is no known field; known here: tokensPerSecond, firstToken, maxStreams"),
        (GOOD.replace("4", "many"), "model.yaml:8: spec.engine.simulated.maxStreams: 'many' is wrong: it must be a valid integer"),
        (GOOD.replace("maxStreams: 4", "firstToken: 5"), "model.yaml:8: spec.engine.simulated.firstToken: 5 is not a duration: write text with a unit, like '500ms' or '2s'"),
        (GOOD.replace("simulated", "simulate"), "model.yaml:7: spec.engine.simulate: is no known field; did you mean simulated?"),
        (GOOD.replace("  name: echo\n", "  nme: echo\n"), "model.yaml:3: metadata.name: is required"),
        (GOOD.replace("name: echo", "name: Echo.1"), "model.yaml:4: metadata.name: metadata.name must be a DNS label (a-z, 0-9 and '-') of at most 40 characters: choose such a name"),
        (GOOD.replace("kind: StreamingModel", "kind: StreamingModels"), "model.yaml:2: kind: 'StreamingModels' is not known here; did you mean StreamingModel?"),
        (GOOD.replace("kind: StreamingModel", "kind: Deployment"), "model.yaml:2: kind: 'Deployment' is not known here; only StreamingModel and StreamingGateway can be run; leave this object out"),
        (GOOD.replace("kind: StreamingModel\n", ""), "model.yaml:1: kind: is required: write kind: StreamingModel"),
        (GOOD.replace("v1alpha1", "v1"), "model.yaml:1: apiVersion: 'tailrace.dev/v1' is not known here; did you mean tailrace.dev/v1alpha1?"),
        (GOOD + "  engine: {}\n", "model.yaml:9: spec.engine: is there twice: remove one of them"),
        (GOOD + "  replay:\n    storage: disk\n", "model.yaml:10: spec.replay.storage: 'disk' is not one of 'memory', 'file'"),
        (GOOD + "  timeouts:\n    firstToken: 2h\n", "model.yaml:10: spec.timeouts.firstToken: 2h must lie between 1s and 1h"),
        (GOOD + "  env:\n    - name: A\n      value: x\n    - name: B\n", "model.yaml:12: spec.env[1].value: is required"),
        (GOOD + "  drain: 5s\n", "model.yaml:9: spec.drain: must hold fields, not '5s'"),
        ("- a\n", "model.yaml:1: is no Kubernetes object: it must begin with apiVersion and kind"),
        ("", "model.yaml: no StreamingModel in it; examples/ shows how one is written"),
        (GOOD + "---\n" + GOOD, "model.yaml: metadata.name: default.echo is there twice: rename one"),
    ],
)  # fmt: skip
def test_faults(tmp_path, text, says):
    assert complaint(tmp_path, text) == says


GATEWAY = """\
apiVersion: tailrace.dev/v1alpha1
kind: StreamingGateway
metadata:
  name: edge
"""


def test_a_gateway_beside_a_model(tmp_path):
    loaded = load([write(tmp_path, f"{GOOD}---\n{GATEWAY}")])

    assert [model.metadata.name for model in loaded.models] == ["echo"]
    assert [gateway.metadata.name for gateway in loaded.gateways] == ["edge"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GATEWAY, "model.yaml: no StreamingModel in it; examples/ shows how one is written"),
        (f"{GOOD}---\n{GATEWAY}---\n{GATEWAY}", "model.yaml: metadata.name: default.edge is there twice: rename one"),
        (f"{GOOD}---\n{GATEWAY}spec:\n  servce: {{}}\n", "model.yaml:15: spec.servce: is no known field; did you mean service?"),
        (f"{GOOD}---\n{GATEWAY}spec:\n  pod:\n    xyzzy: 1\n", "model.yaml:16: spec.pod.xyzzy: is no known field; known here: labels, annotations, image, imagePullSecrets, serviceAccountName, priorityClassName, affinity, tolerations, topologySpreadConstraints, env, volumes, volumeMounts, containers, initContainers"),
    ],
)  # fmt: skip
def test_faults_of_a_gateway(tmp_path, text, says):
    assert complaint(tmp_path, text) == says


@pytest.mark.parametrize("text", ["a: [1,\nb: 2\n", "a: b: c\n", "a:\n\t- b\n", "&x *y\n"])
def test_a_syntax_error_names_its_line(tmp_path, text):
    said = complaint(tmp_path, text)

    assert said.startswith("model.yaml:")
    assert said.split(":")[1].isdigit()
    assert "is not YAML" in said


def test_every_wrong_field_has_a_line_of_its_own(tmp_path):
    said = complaint(tmp_path, GOOD + "  replica: 2\n  chunking:\n    tokens: 0\n")

    assert [line.split(": ")[1] for line in said.splitlines()] == ["spec.chunking.tokens", "spec.replica"]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"missing\.yaml: cannot be read"):
        load([tmp_path / "missing.yaml"])
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="is no text file"):
        load([tmp_path / "binary"])
    with pytest.raises(FileError, match="cannot be read"):
        load([tmp_path])
