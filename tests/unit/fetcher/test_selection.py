"""Which files are fetched: by rule, and for repositories as they are."""
# ruff: noqa: SIM905

import pytest
from tailrace_fetcher.selection import formats, has_weights, select

LLAMA = """.gitattributes LICENSE README.md USE_POLICY.md config.json generation_config.json
 model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json
 original/consolidated.00.pth original/params.json original/tokenizer.model special_tokens_map.json tokenizer.json
 tokenizer_config.json""".split()
OLD = """config.json merges.txt vocab.json pytorch_model.bin tf_model.h5 flax_model.msgpack rust_model.ot
 training_args.bin""".split()


def test_a_repository_in_several_formats_is_fetched_in_the_one_that_vllm_loads():
    assert select(LLAMA) == [
        "LICENSE",
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_bin_weights_are_fetched_where_there_is_nothing_better():
    assert select(OLD) == ["config.json", "merges.txt", "pytorch_model.bin", "vocab.json"]


@pytest.mark.parametrize(
    ("here", "fetched"),
    [
        ("a.safetensors a.bin a.pt", "a.safetensors"),
        ("a.bin a.pt", "a.bin"),
        ("a.pt", "a.pt"),
        ("a.safetensors sub/b.bin sub/b.pt", "a.safetensors sub/b.bin"),
        ("a.bin sub/b.safetensors", "a.bin sub/b.safetensors"),
    ],
)
def test_in_each_directory_the_best_format_wins(here, fetched):
    assert select(here.split()) == fetched.split()


@pytest.mark.parametrize(
    "name",
    """model.gguf MODEL.GGUF model.onnx onnx/config.json onnx/model.onnx_data openvino/openvino_model.bin
    coreml/model.bin model.mlpackage/weights.bin tf_model.h5 flax_model.msgpack consolidated.00.pth
    optimizer.pt optimizer.bin scheduler.pt checkpoint-500/model.safetensors global_step100/model.safetensors
    rng_state_0.pth events.out.tfevents.1 metal/model.bin README.md docs/figure.png .gitattributes
    .git/config .cache/x train.parquet
    """.split(),
)
def test_what_vllm_does_not_load_is_left_out(name):
    assert select(["config.json", name]) == ["config.json"]


@pytest.mark.parametrize(
    "name",
    """config.json params.json tokenizer.model tokenizer.model.v3 tekken.json qwen.tiktoken merges.txt vocab.txt
    chat_template.jinja chat_template.json additional_chat_templates/tool_use.jinja modeling_custom.py
    preprocessor_config.json 1_Pooling/config.json 2_Dense/model.safetensors adapter_config.json
    adapter_model.safetensors hf_quant_config.json model.safetensors.index.json LICENSE something.unknown
    originals.json
    """.split(),
)
def test_what_vllm_may_need_is_fetched(name):
    assert select([name]) == [name]


MISTRAL = "params.json config.json consolidated.safetensors model-00001-of-00001.safetensors tekken.json".split()


def test_of_mistrals_two_formats_the_one_that_vllm_prefers_is_fetched():
    assert "model-00001-of-00001.safetensors" not in select(MISTRAL)
    assert "consolidated.safetensors" in select(MISTRAL)


def test_consolidated_weights_without_their_configuration_are_left_out():
    assert select([name for name in MISTRAL if name != "params.json"]) == [
        "config.json",
        "model-00001-of-00001.safetensors",
        "tekken.json",
    ]


def test_consolidated_weights_alone_are_fetched():
    assert select(["config.json", "consolidated.safetensors"]) == ["config.json", "consolidated.safetensors"]


def test_other_weights_beside_consolidated_ones_stay():
    assert "extra_head.safetensors" in select([*MISTRAL, "extra_head.safetensors"])


def test_it_is_known_whether_there_is_anything_to_load():
    assert has_weights(["a.safetensors"])
    assert not has_weights(["config.json", "a.gguf"])
    assert formats(["b/a.gguf", "config.json", "LICENSE"]) == ".gguf, .json"
    assert formats(["LICENSE"]) == "none"
