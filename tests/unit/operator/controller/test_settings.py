"""The operator's settings file: what it may say, and what is said of what it may not."""

from pathlib import Path

import pytest
from tailrace_operator.controller.settings import OperatorSettings, SettingsError, load_settings, own_namespace
from tailrace_operator.render import RenderSettings

#: What the chart renders, with no value as it is by default.
ALL = """
watchNamespaces: [team-a, team-b]
images:
  worker: example.com/worker:1
  workerCpu: example.com/worker-cpu:1
  workerSimulated: example.com/worker-simulated:1
  gateway: example.com/gateway:1
  fetcher: example.com/fetcher:1
imagePullPolicy: Always
imagePullSecrets: [registry]
nats:
  servers: ["nats://one:4222", "nats://two:4222"]
  account: OURS
  advisories: false
  replicas: 3
  credentialsSecret: theirs
  createCredentials: false
broker:
  queueMaxBytes: 32Mi
  logMaxBytes: 4Gi
  payloadsMaxBytes: 512Mi
networkPolicies: false
modelRoot: /srv/models
log: {level: debug, format: text}
healthPort: 0
metricsPort: 9191
workers: 2
resyncS: 60
brokerPatienceS: 0
"""


def loaded(tmp_path: Path, text: str) -> OperatorSettings:
    file = tmp_path / "operator.yaml"
    file.write_text(text)
    return load_settings(file)


def test_an_empty_file_is_the_default_installation(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").for_rendering() == RenderSettings()
    assert loaded(tmp_path, "") == loaded(tmp_path, "# nothing\n") == OperatorSettings()


def test_everything_that_is_set_arrives(tmp_path: Path) -> None:
    settings = loaded(tmp_path, ALL)
    defaults = OperatorSettings()
    for name in OperatorSettings.model_fields:
        assert getattr(settings, name) != getattr(defaults, name), f"{name} is not in ALL, or does not arrive"
    assert settings.watch_namespaces == ["team-a", "team-b"]
    assert settings.nats.credentials_secret == "theirs"
    rendering = settings.for_rendering()
    assert rendering.nats_servers == ("nats://one:4222", "nats://two:4222")
    assert (rendering.nats_account, rendering.nats_advisories, rendering.broker_replicas) == ("OURS", False, 3)
    assert (rendering.queue_max_bytes, rendering.payloads_max_bytes) == (32 * 2**20, 2**29)
    assert rendering.log_max_bytes == 2**32
    assert rendering.worker_simulated_image == "example.com/worker-simulated:1"
    assert (rendering.image_pull_policy, rendering.image_pull_secrets) == ("Always", ("registry",))
    assert (rendering.model_root, rendering.network_policies) == ("/srv/models", False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("imagePullPolicy: always", "imagePullPolicy 'always' is not one of 'Always', 'IfNotPresent', 'Never'"),
        ("nats: {replicas: 2}", "nats.replicas 2 is not one of 1, 3, 5"),
        ("nats: {servers: []}", "nats.servers [] is wrong: List should have at least 1 item"),
        ("nats: {servers: ['']}", "nats.servers[0] '' is wrong: String should have at least 1 character"),
        ("nats: {server: x}", "nats.server is no known field; did you mean servers?"),
        ("image: {}", "image is no known field; did you mean images?"),
        ("watch_namespaces: []", "watch_namespaces is no known field; did you mean watchNamespaces?"),
        ("images: {worker: ''}", "images.worker '' is wrong: String should have at least 1 character"),
        ("images: nope", "images must hold fields, not 'nope'"),
        (
            "broker: {queueMaxBytes: 64MB}",
            "broker.queueMaxBytes '64MB' is not a quantity: write a number with a suffix",
        ),
        ("broker: {queueMaxBytes: 1Ki}", "broker.queueMaxBytes 1Ki must lie between 1Mi and 1Ti"),
        ("broker: {logMaxBytes: 0}", "broker.logMaxBytes 0 must lie between 1Mi and 1Ti"),
        ("broker: {payloadsMaxBytes: 2Ti}", "broker.payloadsMaxBytes 2Ti must lie between 1Mi and 1Ti"),
        ("networkPolicies: 'yes'", "networkPolicies 'yes' is wrong: it must be a valid boolean"),
        ("log: {level: loud}", "log.level 'loud' is not one of 'debug', 'info', 'warning', 'error'"),
        ("healthPort: 65536", "healthPort 65536 is wrong: it must be less than or equal to 65535"),
        ("metricsPort: -1", "metricsPort -1 is wrong: it must be greater than or equal to 0"),
        ("workers: 0", "workers 0 is wrong: it must be greater than or equal to 1"),
        ("workers: 65", "workers 65 is wrong: it must be less than or equal to 64"),
        ("resyncS: 0", "resyncS 0 is wrong: it must be greater than or equal to 1"),
        ("brokerPatienceS: -0.1", "brokerPatienceS -0.1 is wrong: it must be greater than or equal to 0"),
        ("[]", "it must hold fields, not []"),
        ("just text", "it must hold fields, not 'just text'"),
        ("a: b: c", "operator.yaml is not YAML: mapping values are not allowed here"),
    ],
)
def test_each_wrong_field_is_named_with_what_to_write(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "operator.yaml"))


@pytest.mark.parametrize(
    "text",
    ["healthPort: 65535", "metricsPort: 0", "workers: 1", "workers: 64", "resyncS: 1", "broker: {queueMaxBytes: 1Mi}"],
)
def test_a_bound_itself_is_allowed(tmp_path: Path, text: str) -> None:
    loaded(tmp_path, text)


def test_all_wrong_fields_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"log\.level .x. is not one of .*; workers 0 is wrong"):
        loaded(tmp_path, "workers: 0\nlog: {level: x}")


def test_a_file_that_is_not_there_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file or directory; give a file with --settings"):
        load_settings(tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "operator.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not YAML"):
        load_settings(tmp_path / "operator.yaml")


@pytest.mark.parametrize(("given", "namespace"), [("prod", "prod"), ("", "tailrace-system")])
def test_the_own_namespace_comes_from_the_pod(monkeypatch: pytest.MonkeyPatch, given: str, namespace: str) -> None:
    monkeypatch.setenv("POD_NAMESPACE", given)
    assert own_namespace() == namespace
