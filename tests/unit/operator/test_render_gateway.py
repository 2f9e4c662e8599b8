"""What is rendered for a gateway: pods that drain, a Service as asked for, and policies for the namespace."""

import pytest
from manifests import container, of_kind, pod_of, settings_in
from tailrace_operator.render import RenderSettings, default_gateway, render_gateway
from tailrace_operator.resources import StreamingGateway
from tailrace_protocol.settings import GatewaySettings

SETTINGS = RenderSettings()


def test_a_gateway_is_told_what_its_resource_says(make):
    gateway = make.gateway(
        "edge",
        replicas=3,
        limits={"maxBodyBytes": "16Mi", "maxUnsentBytes": "1Mi"},
        heartbeat="5s",
        drain={"deadline": "1m"},
    )
    config, deployment, service, *_ = render_gateway(gateway, [], SETTINGS)
    settings = settings_in(config, GatewaySettings)

    assert (settings.gateway, settings.max_body_bytes, settings.max_unsent_bytes) == ("edge", 16 * 2**20, 2**20)
    assert (settings.heartbeat_s, settings.drain_s, settings.shutdown_s) == (5, 60, 10)
    assert (settings.nats.user, settings.nats.system_user) == ("gateway", "advisory")
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 60 + 10 + 15


def test_a_new_model_restarts_no_gateway(make):
    one, two = make.model(limits={"maxBodyBytes": "1Mi"}), make.model("other", limits={"maxBodyBytes": "16Mi"})

    assert render_gateway(make.gateway(), [one], SETTINGS) == render_gateway(make.gateway(), [one, two], SETTINGS)


def test_a_foreign_broker_has_no_advisories(make):
    settings = RenderSettings(nats_advisories=False)
    config, *_ = render_gateway(make.gateway(), [make.model()], settings)

    assert settings_in(config, GatewaySettings).nats.system_user == ""


def rendered(make, name="default", settings=SETTINGS, **spec):
    return render_gateway(make.gateway(name, **spec), [], settings)


def test_the_default_gateway_is_valid_and_all_defaults(make):
    models = [make.model(metadata={"uid": "a"}), make.model("other", metadata={"uid": "b"})]
    document = default_gateway("team-a", models)

    assert StreamingGateway.parse(document).spec == make.gateway().spec
    assert (document["metadata"]["name"], document["metadata"]["namespace"]) == ("default", "team-a")
    assert document["metadata"]["labels"]["tailrace.dev/gateway"] == "default"


@pytest.mark.parametrize(("name", "child"), [("default", "tailrace-gateway"), ("edge", "tailrace-gateway-edge")])
def test_children_bear_the_gateways_name_and_labels(make, name, child):
    for manifest in rendered(make, name):
        labels = manifest["metadata"]["labels"]
        assert (labels["tailrace.dev/gateway"], labels["app.kubernetes.io/managed-by"]) == (name, "tailrace")
    assert {m["metadata"]["name"] for m in rendered(make, name)} == {child, f"tailrace-workers-{name}"}


def test_no_gateway_can_have_another_ones_children(make):
    names = ["default", "default-x", "workers", "gateway", "x", "gateway-x"]
    children = [(m["kind"], m["metadata"]["name"]) for name in names for m in rendered(make, name)]

    assert len(children) == len(set(children))


def test_the_longest_name_makes_valid_children(make):
    for manifest in rendered(make, "n" * 40):
        assert len(manifest["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())


def test_a_rollout_never_has_fewer_gateways_and_a_drained_node_takes_one_at_a_time(make):
    manifests = rendered(make)
    deployment, budget = of_kind(manifests, "Deployment"), of_kind(manifests, "PodDisruptionBudget")

    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    (spread,) = pod_of(deployment)["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert spread["labelSelector"] == deployment["spec"]["selector"]


def test_a_gateway_drains_on_sigterm_and_needs_no_hook(make):
    deployment = of_kind(rendered(make), "Deployment")

    assert "lifecycle" not in container(deployment)
    assert pod_of(deployment)["terminationGracePeriodSeconds"] == 300 + 10 + 15


def test_probes_ask_the_api_port(make):
    main = container(of_kind(rendered(make), "Deployment"))

    assert main["ports"] == [{"name": "http", "containerPort": 8080}]
    assert main["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert main["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "ClusterIP"},
        {"type": "LoadBalancer", "loadBalancerClass": "x.y/z", "externalTrafficPolicy": "Local"},
        {"type": "NodePort", "externalTrafficPolicy": "Cluster"},
    ],
)
def test_the_service_is_as_asked_for(make, wanted):
    made = of_kind(rendered(make, service=wanted), "Service")["spec"]

    assert {field: value for field, value in made.items() if field not in ("selector", "ports")} == wanted
    assert (made["ports"][0]["port"], made["ports"][0]["targetPort"]) == (80, "http")


def test_without_a_wish_the_service_is_inside_the_cluster(make):
    assert of_kind(rendered(make), "Service")["spec"]["type"] == "ClusterIP"


def test_annotations_of_the_service_are_its_alone(make):
    manifests = rendered(make, service={"annotations": {"a/b": "c"}})

    assert of_kind(manifests, "Service")["metadata"]["annotations"] == {"a/b": "c"}
    assert all("annotations" not in m["metadata"] for m in manifests if m["kind"] != "Service")


def test_amounts_are_as_the_api_server_prints_them(make):
    resources = {"cpu": "0.5", "memory": "1024Mi", "memoryLimit": "2048Mi"}
    main = container(of_kind(rendered(make, resources=resources), "Deployment"))

    assert main["resources"] == {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


def test_policies_let_clients_to_the_api_and_only_scrapers_to_workers(make):
    policies = [m for m in rendered(make) if m["kind"] == "NetworkPolicy"]
    gateways, workers = (policy["spec"] for policy in policies)

    assert gateways["podSelector"] == of_kind(rendered(make), "Deployment")["spec"]["selector"]
    assert gateways["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}]}]
    assert workers["podSelector"]["matchExpressions"][0]["values"] == ["tailrace-worker", "tailrace-fetch"]
    assert workers["ingress"] == [{"ports": [{"protocol": "TCP", "port": "metrics"}]}]
    assert all(policy["spec"]["policyTypes"] == ["Ingress"] for policy in policies)


def test_policies_can_be_left_to_others(make):
    manifests = rendered(make, settings=RenderSettings(network_policies=False))

    assert "NetworkPolicy" not in {manifest["kind"] for manifest in manifests}
