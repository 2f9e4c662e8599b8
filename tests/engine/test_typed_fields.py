"""Every typed field of `engine.vllm` is an argument that vLLM's own parser takes, with the value that was meant.

`every_typed_field.json` holds what the operator renders; a unit test keeps it current.
"""

import json
from pathlib import Path

import pytest

RENDERED = json.loads((Path(__file__).parent / "every_typed_field.json").read_text())


TEMPLATE = "/etc/tailrace/chat-template.jinja"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A file in place of the one that is mounted into a pod: vLLM looks whether it is there."""
    file = tmp_path_factory.mktemp("config") / "chat-template.jinja"
    file.write_text("{{ messages }}")
    return str(file)


@pytest.fixture(scope="module")
def parsed(template):
    from tailrace_worker.engines.vllm.internals import argument_parser, check_arguments

    parser = argument_parser()

    def parse(name):
        arguments = parser.parse_args([template if value == TEMPLATE else value for value in RENDERED[name]])
        check_arguments(arguments)
        return arguments

    return parse


@pytest.mark.parametrize("name", RENDERED)
def test_what_the_operator_renders_is_understood(parsed, name):
    assert parsed(name).served_model_name == ["echo"]


def test_every_value_arrives(parsed, template):
    got = parsed("everything")

    assert (got.max_model_len, got.dtype, got.quantization) == (2048, "float32", "fp8")
    assert (got.max_num_seqs, got.max_num_batched_tokens) == (8, 4096)
    assert (got.tensor_parallel_size, got.pipeline_parallel_size) == (2, 2)
    assert (got.gpu_memory_utilization, got.kv_cache_dtype, got.kv_cache_memory_bytes) == (0.9, "fp8", 2**28)
    assert (got.kv_offloading_size, got.cpu_offload_gb) == (4, 1.5)
    assert (got.enable_prefix_caching, got.enforce_eager, got.trust_remote_code) == (False, True, True)
    assert (got.chat_template, got.tool_call_parser) == (template, "hermes")
    assert (got.enable_auto_tool_choice, got.reasoning_parser) == (True, "deepseek_r1")
    assert got.structured_outputs_config.backend == "xgrammar"
    assert (got.enable_lora, got.max_lora_rank, got.max_loras) == (True, 64, 2)
    assert [(adapter.name, adapter.path.split("/")[1]) for adapter in got.lora_modules] == [
        ("a", "models"),
        ("b", "downloads"),
    ]
    assert got.speculative_config == {
        "method": "ngram",
        "num_speculative_tokens": 5,
        "prompt_lookup_min": 1,
        "prompt_lookup_max": 8,
    }


@pytest.mark.parametrize(("name", "method"), [("draft", "draft_model"), ("eagle", "eagle"), ("eagle3", "eagle3")])
def test_a_method_of_speculation_is_one_of_vllms(parsed, name, method):
    from typing import get_args

    from vllm.config.speculative import SpeculativeMethod

    assert parsed(f"speculative-{name}").speculative_config["method"] == method
    assert method in str(get_args(SpeculativeMethod))
