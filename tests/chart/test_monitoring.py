"""What Prometheus scrapes, and alerts whose metrics the code really has and whose expressions mean what they say."""

import os
import re
import subprocess

import pytest
import yaml
from harness import packages
from harness.errors import UnavailableError
from tailrace_gateway.metrics import Metrics as GatewayMetrics
from tailrace_operator.controller.metrics import Metrics as OperatorMetrics
from tailrace_worker.metrics import Metrics as WorkerMetrics

from .helm import CHART

ALERTS = CHART / "files" / "alerts.yaml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def exported():
    """Names of all series that our programs serve."""
    registries = (GatewayMetrics().registry, OperatorMetrics().registry, WorkerMetrics("m").registry)
    families = [family for registry in registries for family in registry.collect()]
    return {
        family.name + suffix
        for family in families
        for suffix in {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_there_are(rule):
    asked = set(re.findall(r"tailrace_\w+", rule["expr"]))
    assert asked
    assert asked <= exported()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do(rule):
    assert rule["alert"].startswith("Tailrace")
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert "for" in rule


def promtool(*arguments):
    try:
        packages.require(packages.ALERTS)
    except UnavailableError as error:
        reason = f"alerts are not tested without promtool: {error}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def test_prometheus_reads_the_rules(helm, tmp_path):
    rule = helm.template({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule")
    assert "RELEASE_NAMESPACE" not in str(rule)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    done = promtool("check", "rules", str(tmp_path / "rules.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(RULES)} rules found" in done.stdout


def sample(metric, value, /, **labels):
    """A series that holds a value, or grows by `+n` a minute, for two hours; or one of Prometheus's own `ax…` rows."""
    spelled = ",".join(f'{key}="{label}"' for key, label in labels.items())
    values = value if "x" in value else f"{value}x120" if "+" in value else f"{value}+0x120"
    return {"series": f"{metric}{{{spelled}}}", "values": values}


def ended(failed, finished):
    of = {"namespace": "a", "model": "m"}
    return [
        sample("tailrace_gateway_streams_ended_total", f"0+{failed}", outcome="failed", **of),
        sample("tailrace_gateway_streams_ended_total", f"0+{finished}", outcome="finished", **of),
    ]


def refused(code, per_minute):
    return [sample("tailrace_gateway_requests_refused_total", f"0+{per_minute}", namespace="a", code=code)]


def first_events(above_ten_seconds):
    name, of = "tailrace_gateway_first_worker_event_seconds_bucket", {"namespace": "a", "model": "m"}
    quick = 100 - above_ten_seconds
    counts = {"10": quick, "30": 100, "+Inf": 100}
    return [sample(name, f"0+{count}", le=bound, **of) for bound, count in counts.items()]


def workers(active, capacity):
    of = {"namespace": "a", "model": "m"}
    return [
        sample("tailrace_worker_active_streams", str(active), pod="w", **of),
        sample("tailrace_worker_capacity_streams", str(capacity), pod="w", **of),
    ]


def limited(by):
    return [sample("tailrace_operator_scaling_limited", "1", namespace="a", name="m", by=by)]


def condition(kind, name, value):
    return [sample("tailrace_operator_condition", value, kind=kind, namespace="a", name="m", condition=name)]


def model(ready, progressing, degraded):
    """A model's conditions, each as 1, 0 or a row of values."""
    values = {"Ready": ready, "Progressing": progressing, "Degraded": degraded}
    return [series for name, value in values.items() for series in condition("StreamingModel", name, value)]


def reconciles(failed, done):
    name, of = "tailrace_operator_reconciles_total", {"namespace": "a", "kind": "StreamingModel"}
    return [sample(name, f"0+{failed}", result="failed", **of), sample(name, f"0+{done}", result="done", **of)]


CONNECTED = "tailrace_operator_broker_connected"
NOT_READY = {"kind": "StreamingModel", "name": "m", "condition": "Ready"}
#: For each alert: series that make it fire, its labels then, what its summary says; and the nearest ones that do not.
FIRING = {
    "TailraceStreamsFailing": (ended(3, 97), {"model": "m"}, "3% of the streams of a/m fail", ended(2, 98)),
    "TailraceRequestsRefused": (
        refused("queue_full", 12),
        {"code": "queue_full"},
        "Gateways in a refuse 200m requests a second (queue_full)",
        refused("queue_full", 6) + refused("invalid_request", 100),
    ),
    "TailraceFirstEventSlow": (
        first_events(6),
        {"model": "m"},
        "5 % of the requests to a/m wait longer than 13.33s",
        first_events(4),
    ),
    "TailraceWorkersFull": (
        workers(96, 100),
        {"model": "m"},
        "The workers of a/m have been full for 15 minutes",
        workers(95, 100),
    ),
    "TailraceScalingLimited": (
        limited("capacity"),
        {"name": "m", "by": "capacity"},
        "Model a/m cannot have the size that it needs (capacity)",
        limited("pace") + limited("minimum"),
    ),
    "TailraceModelNotReady": (
        model(ready="0", progressing="1", degraded="1"),
        NOT_READY,
        "Model a/m has not been ready for 30 minutes",
        model(ready="1", progressing="1", degraded="1"),
    ),
    "TailraceResourceDegraded": (
        condition("StreamingGateway", "Degraded", "1"),
        {"kind": "StreamingGateway", "name": "m", "condition": "Degraded"},
        "Something of StreamingGateway a/m does not work",
        condition("StreamingGateway", "Degraded", "0"),
    ),
    "TailraceBrokerUnreachable": (
        [sample(CONNECTED, "0", namespace="a")],
        {},
        "The Tailrace operator in a cannot reach NATS",
        [sample(CONNECTED, "1", namespace="a")],
    ),
    "TailraceOperatorDown": (
        [sample(CONNECTED, "1", namespace="another-release")],
        {"namespace": "RELEASE_NAMESPACE"},
        "No Tailrace operator has been running in RELEASE_NAMESPACE for 10 minutes",
        [sample(CONNECTED, "0", namespace="RELEASE_NAMESPACE")],
    ),
    "TailraceReconcilesFailing": (
        reconciles(11, 89),
        {"kind": "StreamingModel"},
        "11% of the operator's looks at StreamingModel objects fail",
        reconciles(10, 90),
    ),
}


def expected(rule, labels, summary):
    """The alert as Prometheus sends it, its description put together like its summary."""
    labels = {"namespace": "a", **labels, **rule["labels"]}
    labels = {name: value for name, value in labels.items() if value is not None}
    description = rule["annotations"]["description"]
    for name, value in labels.items():
        description = description.replace(f"{{{{ $labels.{name} }}}}", value)
    return {"exp_labels": labels, "exp_annotations": {"summary": summary, "description": description}}


def test_every_alert_is_tested():
    assert set(FIRING) == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "is silent"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_fires_when_it_should_and_only_then(rule, fires, tmp_path):
    loud, labels, summary, quiet = FIRING[rule["alert"]]
    hold(rule, loud if fires else quiet, [expected(rule, labels, summary)] if fires else [], tmp_path)


def hold(rule, series, wanted, folder):
    """These series bring about the wanted alerts of a rule, and no others."""
    case = {"eval_time": "100m", "alertname": rule["alert"], "exp_alerts": wanted}
    test = {"interval": "1m", "input_series": series, "alert_rule_test": [case]}
    document = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(document))
    done = promtool("test", "rules", str(folder / "test.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


SERVED_BEFORE = "1+0x20 0+0x100"


@pytest.mark.parametrize(
    ("series", "fires"),
    [
        (model(ready="0", progressing="1", degraded="0"), False),
        (model(ready="0", progressing="0", degraded="0"), False),
        (model(ready=SERVED_BEFORE, progressing="0", degraded="0"), False),
        (model(ready=SERVED_BEFORE, progressing="1", degraded="0"), True),
        (model(ready="0", progressing="0", degraded="1"), True),
    ],
    ids=["first download", "no replicas", "scaled to none", "served before", "given up"],
)
def test_only_a_model_that_should_be_ready_is_missed(series, fires, tmp_path):
    [rule] = [rule for rule in RULES if rule["alert"] == "TailraceModelNotReady"]
    summary = FIRING[rule["alert"]][2]
    hold(rule, series, [expected(rule, NOT_READY, summary)] if fires else [], tmp_path)


def test_an_alert_can_be_left_out_and_the_text_for_people_stays_a_template(helm):
    values = {"metrics": {"prometheusRule": {"enabled": True, "disabled": ["TailraceWorkersFull"]}}}
    rules = [r for g in helm.template(values).one("PrometheusRule")["spec"]["groups"] for r in g["rules"]]
    assert {rule["alert"] for rule in rules} == {rule["alert"] for rule in RULES} - {"TailraceWorkersFull"}
    assert any("{{ $labels.model }}" in rule["annotations"]["summary"] for rule in rules)


def test_a_group_whose_alerts_are_all_left_out_is_left_out(helm):
    names = ["TailraceModelNotReady", "TailraceResourceDegraded"]
    values = {"metrics": {"prometheusRule": {"enabled": True, "disabled": names}}}
    groups = helm.template(values).one("PrometheusRule")["spec"]["groups"]
    assert "tailrace-resources" not in [group["name"] for group in groups]


def test_the_service_monitor_finds_the_operators_metrics(helm):
    values = {"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}}}
    objects = helm.template(values)
    monitor, service = objects.one("ServiceMonitor"), objects.one("Service", "-operator")
    assert monitor["metadata"]["labels"]["release"] == "p"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]


@pytest.mark.parametrize(
    ("watched", "selector"), [([], {"any": True}), (["a", "b"], {"matchNames": ["a", "b"]})], ids=["all", "named"]
)
def test_the_pod_monitor_looks_where_models_are(helm, watched, selector):
    values = {"watchNamespaces": watched, "metrics": {"podMonitor": {"enabled": True}}}
    monitor = helm.template(values).one("PodMonitor")
    assert monitor["spec"]["namespaceSelector"] == selector


def test_the_pod_monitor_scrapes_each_kind_of_pod_at_its_own_port(helm):
    monitor = helm.template({"metrics": {"podMonitor": {"enabled": True}}}).one("PodMonitor")
    ports = {item["relabelings"][0]["regex"]: item["port"] for item in monitor["spec"]["podMetricsEndpoints"]}
    assert ports == {"tailrace-gateway": "http", "tailrace-worker": "metrics"}


def test_nothing_of_prometheus_is_made_unless_asked_for(helm):
    assert not [item for item in helm.template() if item["apiVersion"].startswith("monitoring.coreos.com")]
