"""Typed fields become arguments of `vllm serve`; `tests/engine` has vLLM's own parser read them."""

import json
import os
from pathlib import Path

import pytest
from tailrace_operator.render import RenderSettings
from tailrace_operator.render.vllm import vllm_arguments

SETTINGS = RenderSettings()
LOCAL = RenderSettings(local=True)
EVERY_FIELD = Path(__file__).parents[2] / "engine" / "every_typed_field.json"
PLAIN = "--dtype auto --max-num-seqs 128 --tensor-parallel-size 1 --enable-prefix-caching"
HF = {"hf": {"repo": "o/n", "revision": "abc"}}


def arguments(make, settings=SETTINGS, source=None, **vllm):
    spec = make.vllm(**vllm)
    if source:
        spec["model"]["source"] = source
    model = make.model(**spec, resources={"gpu": {"count": 64}})
    return vllm_arguments(model, model.spec.engine.vllm, settings)


def added(make, settings=SETTINGS, **vllm):
    """What the fields add to, or change in, the arguments of a plain model."""
    plain = arguments(make, settings)
    return [argument for argument in arguments(make, settings, **vllm) if argument not in plain]


def test_a_plain_model(make):
    assert arguments(make) == ["--model", "/models/m", "--served-model-name", "echo", *PLAIN.split()]


@pytest.mark.parametrize(
    ("vllm", "says"),
    [
        ({"contextLength": 2048}, "--max-model-len 2048"),
        ({"dtype": "float32"}, "float32"),
        ({"quantization": "awq"}, "--quantization awq"),
        ({"maxStreams": 8}, "8"),
        ({"maxBatchedTokens": 8192}, "--max-num-batched-tokens 8192"),
        ({"tensorParallelSize": 4}, "4"),
        ({"pipelineParallelSize": 2}, "--pipeline-parallel-size 2"),
        ({"pipelineParallelSize": 1}, ""),
        ({"gpuMemoryUtilization": 0.85}, "--gpu-memory-utilization 0.85"),
        ({"kvCacheDtype": "fp8"}, "--kv-cache-dtype fp8"),
        ({"kvCacheMemory": "256Mi"}, "--kv-cache-memory-bytes 268435456"),
        ({"kvOffload": "32Gi"}, "--kv-offloading-size 32"),
        ({"cpuOffload": "512Mi"}, "--cpu-offload-gb 0.5"),
        ({"prefixCaching": False}, "--no-enable-prefix-caching"),
        ({"enforceEager": True}, "--enforce-eager"),
        ({"trustRemoteCode": True}, "--trust-remote-code"),
        ({"toolCallParser": "hermes"}, "--enable-auto-tool-choice --tool-call-parser hermes"),
        ({"reasoningParser": "deepseek_r1"}, "--reasoning-parser deepseek_r1"),
        ({"structuredOutputs": {"backend": "guidance"}}, "--structured-outputs-config.backend guidance"),
        ({"structuredOutputs": {"backend": "auto"}}, ""),
        ({"chatTemplate": {"inline": "{{ messages }}"}}, "--chat-template /etc/tailrace/chat-template.jinja"),
        ({"chatTemplate": {"path": "other.jinja"}}, "--chat-template /models/m/other.jinja"),
        ({"chatTemplate": {"path": "/extra/other.jinja"}}, "--chat-template /extra/other.jinja"),
        ({"extraArgs": ["--block-size=32"]}, "--block-size=32"),
    ],
)
def test_a_field_is_an_argument(make, vllm, says):
    assert added(make, **vllm) == says.split()


def test_extra_arguments_come_last_so_that_they_win(make):
    assert arguments(make, extraArgs=["--seed", "7"], enforceEager=True)[-2:] == ["--seed", "7"]


def test_a_repository_is_a_directory_on_a_cluster_and_itself_on_one_machine(make):
    on_cluster, on_machine = arguments(make, source=HF), arguments(make, LOCAL, source=HF)

    assert on_cluster[1].startswith("/downloads/")
    assert "--revision" not in on_cluster
    assert on_machine[:4] == ["--model", "o/n", "--revision", "abc"]


def test_adapters_are_loaded_under_their_names(make):
    adapters = [
        {"name": "sql", "source": {"path": "adapters/sql"}},
        {"name": "legal", "source": {"pvc": {"claimName": "c", "path": "legal"}}},
    ]
    said = added(make, lora={"adapters": adapters, "maxRank": 64})

    assert said[:5] == ["--enable-lora", "--max-lora-rank", "64", "--max-loras", "2"]
    assert said[5:] == ["--lora-modules", "sql=/models/adapters/sql", "legal=/volumes/adapter-1/legal"]
    few = arguments(make, lora={"adapters": adapters, "maxActive": 1})
    assert few[few.index("--max-loras") + 1] == "1"


@pytest.mark.parametrize(
    ("speculative", "says"),
    [
        ({"method": "ngram"}, "method=ngram num_speculative_tokens=3 prompt_lookup_min=2 prompt_lookup_max=4"),
        (
            {"method": "ngram", "tokens": 5, "ngram": {"min": 1, "max": 8}},
            "method=ngram num_speculative_tokens=5 prompt_lookup_min=1 prompt_lookup_max=8",
        ),
        (
            {"method": "draft", "draftModel": {"path": "d"}},
            "method=draft_model num_speculative_tokens=3 model=/models/d",
        ),
        (
            {"method": "eagle3", "tokens": 4, "draftModel": {"pvc": {"claimName": "c"}}},
            "method=eagle3 num_speculative_tokens=4 model=/volumes/draft",
        ),
        ({"method": "eagle", "draftModel": {"path": "e"}}, "method=eagle num_speculative_tokens=3 model=/models/e"),
    ],
)
def test_speculation_is_said_option_by_option_so_that_extra_args_may_add_more(make, speculative, says):
    said = arguments(make, speculative=speculative)
    start = next(index for index, argument in enumerate(said) if argument.startswith("--speculative-config."))
    pairs = zip(said[start::2], said[start + 1 :: 2], strict=True)

    assert " ".join(f"{flag.removeprefix('--speculative-config.')}={value}" for flag, value in pairs) == says


def test_nothing_is_guessed_on_one_machine(make):
    guessing = {"method": "draft", "draftModel": HF}

    assert arguments(make, LOCAL, speculative=guessing) == arguments(make, LOCAL)


def every_typed_field(make):
    """Arguments that between them set every typed field, for vLLM's own parser; and the fields."""
    fields = {
        "contextLength": 2048,
        "dtype": "float32",
        "quantization": "fp8",
        "maxStreams": 8,
        "maxBatchedTokens": 4096,
        "tensorParallelSize": 2,
        "pipelineParallelSize": 2,
        "gpuMemoryUtilization": 0.9,
        "kvCacheDtype": "fp8",
        "kvCacheMemory": "256Mi",
        "kvOffload": "4Gi",
        "cpuOffload": "1.5Gi",
        "prefixCaching": False,
        "enforceEager": True,
        "trustRemoteCode": True,
        "chatTemplate": {"inline": "{{ messages }}"},
        "toolCallParser": "hermes",
        "reasoningParser": "deepseek_r1",
        "structuredOutputs": {"backend": "xgrammar"},
        "lora": {"adapters": [{"name": "a", "source": {"path": "a"}}, {"name": "b", "source": HF}], "maxRank": 64},
        "speculative": {"method": "ngram", "tokens": 5, "ngram": {"min": 1, "max": 8}},
        "extraArgs": ["--block-size=32"],
    }
    drafted = [{"method": method, "draftModel": {"path": "d"}} for method in ("draft", "eagle", "eagle3")]
    backends = ("auto", "xgrammar", "guidance", "outlines", "lm-format-enforcer")
    ranks = (1, 8, 16, 32, 64, 128, 256, 320, 512)
    adapter = {"name": "a", "source": {"path": "a"}}
    return {
        "everything": arguments(make, **fields),
        **{f"speculative-{one['method']}": arguments(make, speculative=one) for one in drafted},
        **{f"backend-{backend}": arguments(make, structuredOutputs={"backend": backend}) for backend in backends},
        **{f"rank-{rank}": arguments(make, lora={"adapters": [adapter], "maxRank": rank}) for rank in ranks},
        **{f"dtype-{dtype}": arguments(make, dtype=dtype) for dtype in ("auto", "float16", "bfloat16", "float32")},
    }, fields


def test_the_arguments_that_vllms_parser_is_tested_with_are_current(make):
    written, fields = every_typed_field(make)
    if os.environ.get("UPDATE_GOLDEN"):
        EVERY_FIELD.write_text(json.dumps(written, indent=1) + "\n")
    schema_fields = {field.alias for field in type(make.model(**make.vllm()).spec.engine.vllm).model_fields.values()}

    assert fields.keys() == schema_fields
    assert json.loads(EVERY_FIELD.read_text()) == written
