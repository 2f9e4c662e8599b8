"""What the examples ask KEDA and an HPA to read is what the operator serves."""

import re
from pathlib import Path

import pytest
import yaml
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.resources import StreamingModel

SCALERS = Path(__file__).parents[3] / "examples" / "scalers"
CHART = Path(__file__).parents[3] / "charts" / "tailrace" / "templates" / "operator" / "service.yaml"
FILES = sorted(SCALERS.glob("*.yaml"))


def spec_of(name: str):
    return yaml.safe_load((SCALERS / f"{name}.yaml").read_text())["spec"]


def gauges() -> set[str]:
    return {family.name for family in Metrics().registry.collect()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_scaler_sets_the_scale_subresource_of_a_model(file: Path) -> None:
    target = yaml.safe_load(file.read_text())["spec"]["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == ("tailrace.dev/v1alpha1", StreamingModel.kind_name)
    assert file.read_text().startswith("# ")


def test_keda_asks_the_operators_service_for_a_field_that_it_answers() -> None:
    (trigger,) = spec_of("keda-metrics-api")["triggers"]
    port = next(p["port"] for p in yaml_ports() if p["name"] == "metrics")
    pattern = rf"http://tailrace-operator\.tailrace-system\.svc:{port}/scaling/[a-z0-9-]+/[a-z0-9-]+"
    assert re.fullmatch(pattern, trigger["metadata"]["url"])
    # `Operator.load_of` names these; tests/cluster reads them from the real service.
    assert trigger["metadata"]["valueLocation"] in {"inFlight", "queued"}


def yaml_ports():
    text = CHART.read_text()
    return yaml.safe_load(text[text.index("  ports:") :])["ports"]


def test_the_queries_name_metrics_that_there_are() -> None:
    (trigger,) = spec_of("keda-prometheus")["triggers"]
    (metric,) = spec_of("hpa-external-metrics")["metrics"]
    queried = re.search(r"(\w+)\{namespace=", trigger["metadata"]["query"])
    assert queried is not None
    assert {queried[1], metric["external"]["metric"]["name"]} <= gauges()
    assert f"seriesQuery: {metric['external']['metric']['name']}" in (SCALERS / "hpa-external-metrics.yaml").read_text()
