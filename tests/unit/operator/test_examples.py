"""The examples are valid, render to what is kept beside this test, and pass the CRD's schema.

`UPDATE_GOLDEN=1 make unit` writes the golden files anew; review the difference.
"""

import dataclasses
import os
from pathlib import Path

import jsonschema
import pytest
import yaml
from tailrace_operator.crds import structural_schema
from tailrace_operator.render import RenderSettings, default_gateway, render, render_gateway
from tailrace_operator.resources import StreamingGateway, StreamingModel
from tailrace_operator.resources.files import load

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "golden"


class Readable(yaml.SafeDumper):
    """Writes files inside ConfigMaps line by line."""

    def ignore_aliases(self, data):
        return True


def as_lines(dumper, text):
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Readable.add_representer(str, as_lines)


def plain(value):
    return value.decode() if isinstance(value, bytes) else list(value) if isinstance(value, tuple) else value


def as_plain_dict(pairs):
    return {key: plain(value) for key, value in pairs}


def rendered(file):
    loaded = load([file])
    (model,) = loaded.models
    stable = model.metadata.model_copy(update={"creation_timestamp": "2026-01-01T00:00:00Z"})
    model = model.model_copy(update={"metadata": stable})
    result = render(model, RenderSettings())
    gateways = loaded.gateways or [StreamingGateway.parse(default_gateway("default", [model]))]
    children = [child for gateway in gateways for child in render_gateway(gateway, [model], RenderSettings())]
    fetch = [result.fetch] if result.fetch else []
    broker = dataclasses.asdict(result.broker, dict_factory=as_plain_dict)
    documents = [*result.prepare, *fetch, *result.manifests, *children, {"broker": broker}]
    return yaml.dump_all(documents, Dumper=Readable, sort_keys=False, width=120)


def test_there_are_examples():
    assert {file.stem for file in EXAMPLES} >= {"smollm2", "smollm2-two-workers", "simulated", "7b-one-gpu"}


def test_no_golden_file_is_left_of_an_example_that_is_gone():
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == {file.stem for file in EXAMPLES}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_renders_to_its_golden_file(file):
    golden = GOLDEN / f"{file.stem}.yaml"
    text = rendered(file)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)

    assert text == golden.read_text()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_passes_the_crds_schema(file):
    kinds = {kind.kind_name: structural_schema(kind) for kind in (StreamingModel, StreamingGateway)}
    for document in yaml.safe_load_all(file.read_text()):
        jsonschema.validate(document, kinds[document["kind"]])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_says_what_it_shows(file):
    assert file.read_text().startswith("# ")
    assert max(len(line) for line in file.read_text().splitlines()) <= 120
