"""StreamingModel: defaults, and every rule on both sides of its limit."""

import pytest
from pydantic import ValidationError
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.vllm import TYPED_ARGUMENTS
from tailrace_protocol.settings import ChunkingSettings, ModelSettings, NatsSettings, TimeoutSettings, WorkerSettings


def faults(document):
    with pytest.raises(ValidationError) as caught:
        StreamingModel.parse(document)
    return [error["msg"] for error in caught.value.errors()]


def test_the_shortest_model_has_the_defaults_of_the_protocol(make):
    spec = make.model().spec
    timeouts = TimeoutSettings()

    assert spec.chunking.tokens == ChunkingSettings().tokens
    assert spec.chunking.max_delay.seconds == ChunkingSettings().max_delay_s
    assert spec.timeouts.queue.seconds == timeouts.queue_s
    assert spec.timeouts.first_token.seconds == timeouts.first_token_s
    assert spec.timeouts.between_tokens.seconds == timeouts.between_tokens_s
    assert spec.timeouts.total.seconds == timeouts.total_s
    assert spec.limits.max_body_bytes.value == ModelSettings("a", "b").max_body_bytes
    assert spec.replay.window.seconds == ModelSettings("a", "b").replay_window_s
    assert spec.disconnect.grace.seconds == ModelSettings("a", "b").disconnect_grace_s
    worker = WorkerSettings("a", "b", NatsSettings([]), 1)
    assert (spec.failover.max_attempts, spec.drain.deadline.seconds) == (worker.max_attempts, worker.drain_s)


@pytest.mark.parametrize("name", ["a", "a1", "smollm2", "a-b", "a" * 40, "0"])
def test_names_that_can_be_subjects_and_children(make, name):
    assert make.model(name).key.name == name


@pytest.mark.parametrize("name", ["", "A", "a.b", "-a", "a-", "a_b", "ä", "a" * 41])
def test_other_names_are_refused(make, name):
    assert "DNS label" in faults(make.document(name))[0]


def test_exactly_one_engine(make):
    assert "exactly one of vllm and simulated" in faults(make.document(engine={}))[0]
    both = make.vllm()
    both["engine"]["simulated"] = {}
    assert "exactly one of vllm and simulated" in faults(make.document(**both))[0]


def test_exactly_one_source(make):
    one = make.model(model={"source": {"hf": {"repo": "o/n"}}}, engine={"vllm": {}})
    assert one.spec.model.source.hf.revision == "main"
    for source in ({}, {"path": "m", "hf": {"repo": "o/n"}}):
        document = make.document(model={"source": source}, engine={"vllm": {}})
        assert "exactly one of path, hf, pvc, s3 and http" in faults(document)[0]


def test_vllm_needs_a_model_and_simulated_has_none(make):
    message = "engine.vllm needs model.source; engine.simulated has no model"
    assert message in faults(make.document(engine={"vllm": {}}))[0]
    assert message in faults(make.document(model={"source": {"path": "m"}}))[0]


@pytest.mark.parametrize("path", ["..", "a/../b", "/models/.."])
def test_a_path_cannot_climb(make, path):
    assert "must not contain '..'" in faults(make.document(model={"source": {"path": path}}, engine={"vllm": {}}))[0]


def test_tensor_parallelism_fits_the_gpus(make):
    spec = {**make.vllm(tensorParallelSize=2), "resources": {"gpu": {"count": 2}}}
    assert make.model(**spec)
    spec["resources"]["gpu"]["count"] = 1
    assert "must not exceed resources.gpu.count" in faults(make.document(**spec))[0]


@pytest.mark.parametrize("field", ["firstToken", "betweenTokens"])
def test_a_phase_is_not_longer_than_the_whole(make, field):
    others = {"firstToken": "1s", "betweenTokens": "1s"}
    assert make.model(timeouts={**others, field: "5m", "total": "5m"})
    message = faults(make.document(timeouts={**others, field: "6m", "total": "5m"}))[0]
    assert message == f"{field} (6m) must not be longer than total (5m): lower it or raise timeouts.total"


@pytest.mark.parametrize("flag", sorted(TYPED_ARGUMENTS))
def test_extra_args_do_not_repeat_typed_fields(make, flag):
    underscored = flag[:2] + flag[2:].replace("-", "_")
    for spelling in (flag, f"{flag}=1", underscored):
        message = faults(make.document(**make.vllm(extraArgs=["--block-size=32", spelling])))[0]
        assert message == f"{spelling!r} is set by {TYPED_ARGUMENTS[flag]}: use that instead"


@pytest.mark.parametrize(
    ("spelling", "field"),
    [
        ("--speculative-config.method=ngram", "speculative.method"),
        ("--speculative_config.num_speculative_tokens=3", "speculative.tokens"),
        ("-sc.model=o/n", "speculative.draftModel"),
        ("-s.method", "speculative.method"),
        ("--structured-outputs-config.backend=guidance", "structuredOutputs.backend"),
        ("-qfp8", "quantization"),
    ],
)
def test_extra_args_do_not_repeat_typed_fields_in_vllms_other_spellings(make, spelling, field):
    message = faults(make.document(**make.vllm(extraArgs=[spelling])))[0]
    assert message == f"{spelling!r} is set by spec.engine.vllm.{field}: use that instead"


def test_extra_args_may_hold_anything_else(make):
    arguments = ["--disable-log-stats", "--block-size=32", "--model-loader-extra-config={}", "--hf-overrides", "{}"]
    arguments += ["--quantization-config={}", "--speculative-config.draft_tensor_parallel_size=1"]
    arguments += ["--structured-outputs-config.disable_any_whitespace=true"]
    assert make.model(**make.vllm(extraArgs=arguments)).spec.engine.vllm.extra_args == arguments


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("replicas", (0, 1000), (-1, 1001)),
        ("chunking.tokens", (1, 1024), (0, 1025)),
        ("chunking.maxDelay", ("0s", "10s"), ("11s",)),
        ("timeouts.queue", ("1s", "1h"), ("999ms", "61m")),
        ("timeouts.firstToken", ("1s", "1h"), ("999ms", "61m")),
        ("timeouts.betweenTokens", ("1s", "1h"), ("999ms", "61m")),
        ("timeouts.total", ("2m", "24h"), ("999ms", "25h")),
        ("replay.window", ("1s", "24h"), ("999ms", "25h")),
        ("replay.maxBytes", ("1Mi", "1Ti"), ("1023Ki", "2Ti")),
        ("replay.storage", ("memory", "file"), ("disk",)),
        ("queue.maxWaiting", (1, 100_000), (0, 100_001)),
        ("disconnect.policy", ("cancel", "continue"), ("keep",)),
        ("disconnect.grace", ("0s", "1h"), ("61m",)),
        ("failover.ackWait", ("200ms", "1m"), ("199ms", "61s")),
        ("failover.maxAttempts", (1, 50), (0, 51)),
        ("drain.deadline", ("0s", "1h"), ("61m",)),
        ("limits.maxBodyBytes", ("1Ki", "64Mi", 2048), ("1023", "65Mi")),
        ("resources.cpu", ("1m", 2, "1k"), ("0", "2k")),
        ("resources.memory", ("1Mi", "64Ti"), ("1Ki", "65Ti")),
        ("engine.simulated.tokensPerSecond", (0.1, 5, 100_000), (0, 100_001)),
        ("engine.simulated.firstToken", ("0s", "10m"), ("11m",)),
        ("engine.simulated.maxStreams", (1, 4096), (0, 4097)),
    ],
)
def test_bounds(make, path, good, bad):
    def with_value(value):
        document = make.document()
        *blocks, field = path.split(".")
        block = document["spec"]
        for name in blocks:
            block = block.setdefault(name, {})
        block[field] = value
        return document

    for value in good:
        assert StreamingModel.parse(with_value(value))
    for value in bad:
        assert faults(with_value(value))


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": "2"},
        {"replicas": 1.0},
        {"replicas": True},
        {"replicas": None},
        {"chunking": {"max_delay": "1s"}},
        {"chunking": {"maxDelay": 1}},
        {"limits": {"maxBodyBytes": 1.5}},
        {"nodeSelector": {"disk": 1}},
        {"env": [{"name": "A-B", "value": "1"}]},
        {"env": [{"name": "A"}]},
    ],
)
def test_values_of_another_type_are_refused_as_an_api_server_does(make, spec):
    assert faults(make.document(**spec))


def test_metadata_of_the_api_server_is_left_alone(make):
    model = make.model(metadata={"uid": "u", "resourceVersion": "7", "labels": {"a": "b"}, "generation": 3})
    assert model.metadata.uid == "u"
