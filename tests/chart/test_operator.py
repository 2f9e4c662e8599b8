"""The operator's Deployment, and the settings file that it reads."""

import importlib.util
import sys

import pytest
import yaml
from tailrace_operator.controller.settings import OperatorSettings

from .helm import CASES, CHART, ROOT


def settings_of(objects):
    document = yaml.safe_load(objects.one("ConfigMap", "-operator")["data"]["operator.yaml"])
    return OperatorSettings.model_validate(document, by_alias=True, by_name=False)


def container_of(objects):
    return objects.one("Deployment")["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_operator_accepts_the_settings_that_the_chart_writes(helm, case):
    assert settings_of(helm.template(files=(case,)))


def test_without_values_the_chart_and_the_operator_agree_on_every_default(helm):
    settings = settings_of(helm.template(release="tailrace", namespace="tailrace-system"))
    assert settings == OperatorSettings()


def test_images_carry_registry_tag_and_digest(helm):
    digest = f"sha256:{'a' * 64}"
    images = {"registry": "r.example.com:5000", "worker": {"tag": "x"}, "gateway": {"digest": digest}}
    settings = settings_of(helm.template({"images": images}))
    assert settings.images.worker == "r.example.com:5000/tailrace/worker:x"
    assert settings.images.gateway == f"r.example.com:5000/tailrace/gateway:0.1.0@{digest}"
    assert settings.images.fetcher == "r.example.com:5000/tailrace/fetcher:0.1.0"


def test_an_empty_registry_leaves_images_to_the_nodes_defaults(helm):
    assert settings_of(helm.template({"images": {"registry": ""}})).images.gateway == "tailrace/gateway:0.1.0"


def test_what_the_values_say_reaches_the_settings(helm):
    settings = settings_of(
        helm.template(
            {
                "watchNamespaces": ["a", "b"],
                "images": {"pullPolicy": "Always", "pullSecrets": [{"name": "s"}]},
                "networkPolicy": {"enabled": False},
                "modelRoot": "/data",
                "broker": {"queueMaxBytes": "32Mi", "logMaxBytes": "4Gi"},
                "operator": {"log": {"level": "debug", "format": "text"}},
            }
        )
    )
    assert settings.watch_namespaces == ["a", "b"]
    assert (settings.image_pull_policy, settings.image_pull_secrets) == ("Always", ["s"])
    assert (settings.network_policies, settings.model_root) == (False, "/data")
    assert settings.broker.queue_max_bytes.value == 32 * 2**20
    assert settings.broker.log_max_bytes.value == 2**32
    assert (settings.log.level, settings.log.format) == ("debug", "text")


def test_one_nats_server_is_reached_by_its_service_and_three_by_their_names(helm):
    one = settings_of(helm.template(namespace="x"))
    three = settings_of(helm.template({"nats": {"replicas": 3}}, namespace="x"))
    assert one.nats.servers == ["nats://tailrace-nats.x.svc:4222"]
    assert three.nats.servers == [
        f"nats://tailrace-nats-{number}.tailrace-nats-headless.x.svc:4222" for number in range(3)
    ]
    assert (one.nats.replicas, three.nats.replicas) == (1, 3)


def test_an_external_nats_is_taken_as_it_is_and_its_secret_is_not_made(helm):
    settings = settings_of(helm.template(files=(CHART / "ci" / "external-nats.yaml",)))
    assert settings.nats.servers == ["nats://nats-0.example.com:4222", "tls://nats-1.example.com:4222"]
    assert (settings.nats.account, settings.nats.advisories, settings.nats.replicas) == ("STREAMS", False, 3)
    assert (settings.nats.credentials_secret, settings.nats.create_credentials) == ("our-nats", False)


def test_there_is_never_a_second_operator(helm):
    spec = helm.template().one("Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_changed_settings_replace_the_pod_and_unchanged_ones_do_not(helm):
    def annotations(values):
        return helm.template(values).one("Deployment")["spec"]["template"]["metadata"]["annotations"]

    assert annotations({}) == annotations({"metrics": {"podMonitor": {"enabled": True}}})
    assert annotations({}) != annotations({"modelRoot": "/elsewhere"})


def test_the_operator_is_told_its_settings_file_its_name_and_its_namespace(helm):
    container = container_of(helm.template())
    assert container["command"][-2:] == ["--settings", "/etc/tailrace-operator/operator.yaml"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["settings"] == "/etc/tailrace-operator"
    paths = {
        item["name"]: item["valueFrom"]["fieldRef"]["fieldPath"] for item in container["env"] if "valueFrom" in item
    }
    assert paths == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


def test_the_operator_is_probed_where_it_answers(helm):
    container = container_of(helm.template())
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"health": OperatorSettings().health_port, "metrics": OperatorSettings().metrics_port}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "health"}


def test_the_operators_policy_lets_in_probes_and_those_who_scrape(helm):
    everyone = helm.template().one("NetworkPolicy", "-operator")["spec"]["ingress"]
    peer = {"podSelector": {"matchLabels": {"a": "b"}}}
    chosen = helm.template({"networkPolicy": {"metricsFrom": [peer]}}).one("NetworkPolicy", "-operator")["spec"][
        "ingress"
    ]
    assert everyone == [{"ports": [{"port": "health"}]}, {"ports": [{"port": "metrics"}]}]
    assert chosen[1] == {"ports": [{"port": "metrics"}], "from": [peer]}


def test_what_admins_add_to_the_pod_is_added(helm):
    objects = helm.template(files=(CHART / "ci" / "everything.yaml",))
    template = objects.one("Deployment")["spec"]["template"]
    assert template["metadata"]["labels"]["example.com/part"] == "operator"
    assert template["metadata"]["annotations"]["example.com/note"] == "hello"
    spec = template["spec"]
    assert spec["priorityClassName"] == "high"
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]
    assert "nodeAffinity" in spec["affinity"]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"} in spec["containers"][0]["env"]
    assert {"name": "extra", "mountPath": "/extra"} in spec["containers"][0]["volumeMounts"]
    assert {"name": "extra", "emptyDir": {}} in spec["volumes"]
    assert objects.one("ServiceAccount", "-operator")["metadata"]["annotations"]["example.com/role"] == "tailrace"


def test_admins_labels_do_not_replace_the_ones_that_select_the_pod(helm):
    values = {
        "operator": {"podLabels": {"app.kubernetes.io/component": "mine"}},
        "commonLabels": {"app.kubernetes.io/name": "x"},
    }
    labels = helm.template(values).one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "operator"
    assert labels["app.kubernetes.io/name"] == "tailrace"


def test_extra_objects_may_be_objects_or_templates(helm):
    objects = helm.template(files=(CHART / "ci" / "everything.yaml",))
    assert objects.one("ConfigMap", "extra-object")["metadata"]["namespace"] == "tailrace-system"
    assert objects.one("ConfigMap", "streams-extra-text")


def test_the_crds_are_there_kept_or_not_as_the_values_say(helm):
    def policies(values):
        crds = helm.template(values).of("CustomResourceDefinition")
        return [item["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for item in crds]

    assert policies({}) == ["keep", "keep"]
    assert policies({"crds": {"keep": False}}) == [None, None]
    assert policies({"crds": {"enabled": False}}) == []


def test_the_chart_asks_for_images_that_are_built_here(helm):
    spec = importlib.util.spec_from_file_location("tailrace_image_recipes", ROOT / "images" / "build.py")
    assert spec is not None
    recipes = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipes)
    built = {f"{recipes.REGISTRY}/{name}:{recipes.version()}" for name in recipes.IMAGES}
    objects = helm.template()
    images = {*settings_of(objects).images.model_dump().values(), container_of(objects)["image"]}
    assert images <= built
    assert len(images) == 6


def test_the_operator_leaves_a_lost_node_after_half_a_minute(helm):
    pod = helm.template().one("Deployment")["spec"]["template"]["spec"]
    patience = {each["key"]: each["tolerationSeconds"] for each in pod["tolerations"]}
    assert patience == {"node.kubernetes.io/not-ready": 30, "node.kubernetes.io/unreachable": 30}
