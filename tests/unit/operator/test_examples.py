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


def plain(value):
    return value.decode() if isinstance(value, bytes) else list(value) if isinstance(value, tuple) else value


def as_plain_dict(pairs):
    return {key: plain(value) for key, value in pairs}


def rendered(file):
    (model,) = load([file]).models
    stable = model.metadata.model_copy(update={"creation_timestamp": "2026-01-01T00:00:00Z"})
    model = model.model_copy(update={"metadata": stable})
    result = render(model, RenderSettings())
    gateway = StreamingGateway.parse(default_gateway("default", [model]))
    documents = [*result.manifests, *render_gateway(gateway, [model], RenderSettings())]
    broker = dataclasses.asdict(result.broker, dict_factory=as_plain_dict)
    return yaml.safe_dump_all([*documents, {"broker": broker}], sort_keys=False, width=120)


def test_there_are_examples():
    assert {file.stem for file in EXAMPLES} >= {"smollm2", "smollm2-two-workers", "simulated"}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_renders_to_its_golden_file(file):
    golden = GOLDEN / f"{file.stem}.yaml"
    text = rendered(file)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)

    assert text == golden.read_text()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_passes_the_crds_schema(file):
    jsonschema.validate(yaml.safe_load(file.read_text()), structural_schema(StreamingModel))
