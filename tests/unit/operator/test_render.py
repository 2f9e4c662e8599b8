"""What is rendered for a model, table by table."""

import json

from manifests import container, settings_in
from tailrace_operator.render import RenderSettings, beyond_limits, default_gateway, render, render_gateway
from tailrace_protocol import subjects
from tailrace_protocol.settings import ModelSettings, WorkerSettings

SETTINGS = RenderSettings()


def test_the_queue_holds_the_waiting_and_the_running(make):
    model = make.model(engine={"simulated": {"maxStreams": 8}}, replicas=3, queue={"maxWaiting": 10})
    queue, _ = render(model, SETTINGS).broker.streams

    assert queue.name == subjects.queue_stream(model.key) == "tr_req_default_echo"
    assert queue.subjects == ("tr.req.default.echo.*",)
    assert (queue.retention, queue.discard, queue.max_msgs) == ("workqueue", "new", 10 + 3 * 8)
    assert queue.duplicate_window_s == 120


def test_a_model_at_zero_still_queues(make):
    queue, _ = render(make.model(replicas=0, queue={"maxWaiting": 1}), SETTINGS).broker.streams

    assert queue.max_msgs == 1


def test_the_log_lives_as_long_as_its_streams_can_be_read(make):
    model = make.model(
        replay={"window": "5m", "storage": "file", "maxBytes": "2Mi"}, timeouts={"total": "10m", "firstToken": "1m"}
    )
    queue, log = render(model, SETTINGS).broker.streams

    assert log.subjects == ("tr.log.default.echo.>", "tr.key.default.echo.>")
    assert (log.retention, log.discard, log.allow_direct) == ("limits", "old", True)
    assert (log.max_age_s, log.max_bytes) == (900, 2 * 2**20)
    assert (log.storage, queue.storage) == ("file", "file")


def test_a_model_must_leave_room_for_others(make):
    settings = RenderSettings(log_max_bytes=2**31)

    assert beyond_limits(make.model(replay={"maxBytes": "2Gi"}), settings) == []
    (complaint,) = beyond_limits(make.model(replay={"maxBytes": "2049Mi"}), settings)
    assert complaint == (
        "spec.replay.maxBytes 2049Mi is more than this installation allows (broker.logMaxBytes 2Gi): "
        "lower it, or ask whoever runs the installation to raise the limit"
    )


def test_the_workers_pull_without_a_bound_of_the_broker(make):
    (consumer,) = render(make.model(failover={"ackWait": "500ms"}), SETTINGS).broker.consumers

    assert (consumer.stream, consumer.durable) == ("tr_req_default_echo", subjects.WORKERS_CONSUMER)
    assert consumer.filter_subject == "tr.req.default.echo.any"
    assert (consumer.ack_wait_s, consumer.max_deliver, consumer.max_ack_pending) == (0.5, -1, -1)
    assert consumer.max_waiting >= 4096


def test_large_requests_are_kept_as_long_as_they_may_be_continued(make):
    (store,) = render(make.model(), SETTINGS).broker.stores

    assert (store.name, store.ttl_s) == (subjects.PAYLOADS_BUCKET, 120 + 3600 + 600)


def test_gateways_learn_of_the_model_from_its_entry(make):
    model = make.model(
        metadata={"namespace": "team-a", "creationTimestamp": "2026-11-22T10:00:00Z"},
        disconnect={"policy": "continue", "grace": "5s"},
        limits={"maxBodyBytes": "1Mi"},
        **make.vllm(contextLength=4096),
    )
    (entry,) = render(model, SETTINGS).broker.entries

    assert (entry.bucket, entry.key) == (subjects.MODELS_BUCKET, "team-a.echo")
    settings = json.loads(entry.value)
    assert settings["created"] == 1795341600
    assert settings["on_disconnect"] == "continue"
    assert (settings["disconnect_grace_s"], settings["max_body_bytes"], settings["max_model_len"]) == (5, 2**20, 4096)


def test_the_longest_names_make_valid_objects(make):
    model = make.model("n" * 40, metadata={"namespace": "s" * 63})
    rendered = render(model, SETTINGS)

    assert all(len(stream.name) <= 255 for stream in rendered.broker.streams)
    names = [manifest["metadata"]["name"] for manifest in rendered.manifests]
    assert all(len(name) <= 63 - len("-0123456789") for name in names)


def test_a_worker_is_told_everything_in_seconds(make):
    model = make.model(
        engine={"simulated": {"tokensPerSecond": 20, "firstToken": "250ms", "maxStreams": 9}},
        chunking={"tokens": 4, "maxDelay": "20ms"},
        timeouts={"queue": "5s", "firstToken": "6s", "betweenTokens": "7s", "total": "8m"},
        failover={"ackWait": "400ms", "maxAttempts": 2},
        drain={"deadline": "1m30s"},
    )
    config, deployment, _ = render(model, SETTINGS).manifests
    settings = settings_in(config, WorkerSettings)

    assert (settings.simulated.tokens_per_s, settings.simulated.first_token_s, settings.capacity) == (20, 0.25, 9)
    assert (settings.chunking.tokens, settings.chunking.max_delay_s) == (4, 0.02)
    assert (settings.timeouts.queue_s, settings.timeouts.first_token_s) == (5, 6)
    assert (settings.timeouts.between_tokens_s, settings.timeouts.total_s) == (7, 480)
    assert (settings.ack_wait_s, settings.max_attempts, settings.drain_s) == (0.4, 2, 90)
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 105


def test_resources_and_placement_reach_the_pod(make):
    spec = make.vllm() | {
        "resources": {"gpu": {"count": 2, "resourceName": "amd.com/gpu"}, "cpu": "500m", "memory": "8Gi"},
        "nodeSelector": {"pool": "gpu"},
        "env": [{"name": "NCCL_DEBUG", "value": "WARN"}],
    }
    _, deployment, _ = render(make.model(**spec), SETTINGS).manifests
    pod = deployment["spec"]["template"]["spec"]

    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert container(deployment)["image"] == SETTINGS.worker_image
    assert container(deployment)["resources"] == {
        "requests": {"cpu": "500m", "memory": "8Gi", "amd.com/gpu": "2"},
        "limits": {"memory": "8Gi", "amd.com/gpu": "2"},
    }
    assert {"name": "NCCL_DEBUG", "value": "WARN"} in container(deployment)["env"]


def test_without_gpus_the_cpu_image_runs_and_without_a_model_the_simulated_one(make):
    _, cpu, _ = render(make.model(**make.vllm()), SETTINGS).manifests
    _, simulated, _ = render(make.model(), SETTINGS).manifests

    assert container(cpu)["image"] == SETTINGS.worker_cpu_image
    assert container(simulated)["image"] == SETTINGS.worker_simulated_image


def test_pods_are_replaced_when_their_settings_change(make):
    def digest(**spec):
        _, deployment, _ = render(make.model(**spec), SETTINGS).manifests
        return deployment["spec"]["template"]["metadata"]["annotations"]["tailrace.dev/config"]

    assert digest() == digest()
    assert digest() == digest(replicas=7)
    assert digest() != digest(chunking={"tokens": 2})


def test_children_are_owned_once_the_model_is_stored(make):
    stored, other = make.model(metadata={"uid": "u1"}), make.model("other", metadata={"uid": "u2"})

    for manifest in render(stored, SETTINGS).manifests:
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == ("u1", True)
    for manifest in render(make.model(), SETTINGS).manifests:
        assert "ownerReferences" not in manifest["metadata"]
    for manifest in render_gateway(make.gateway(metadata={"uid": "g"}), [stored, other], SETTINGS):
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("StreamingGateway", "g", True)
    owners = default_gateway("default", [stored, other])["metadata"]["ownerReferences"]
    assert [(owner["uid"], owner["controller"]) for owner in owners] == [("u1", False), ("u2", False)]


def test_no_password_is_rendered(make):
    config, *_ = render(make.model(), SETTINGS).manifests

    assert settings_in(config, WorkerSettings).nats.password_file == "/etc/tailrace-nats/worker"


def test_the_entry_is_read_back_by_the_protocol(make):
    import msgspec

    (entry,) = render(make.model(), SETTINGS).broker.entries
    assert msgspec.json.decode(entry.value, type=ModelSettings).name == "echo"
