"""LoRA adapters as the operator asks vLLM for them: each under its own name, and continued like everything else."""

import json

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from tailrace_worker.metrics import Metrics
from tailrace_worker.status import Status

from .conftest import ARGS, SERVED_NAME
from .harness import answer, assert_cut_anywhere, chat, text

RANK = 8


@pytest.fixture(scope="session")
def adapter(model, tmp_path_factory):
    """An adapter that bends the model's attention noticeably, with weights from a fixed seed."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((model / "config.json").read_text())
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    out = {"q_proj": hidden, "v_proj": hidden // heads * config["num_key_value_heads"]}
    seeded = torch.Generator().manual_seed(1)
    weights = {
        f"base_model.model.model.layers.{layer}.self_attn.{part}.lora_{side}.weight": torch.randn(
            (RANK, hidden) if side == "A" else (out[part], RANK), generator=seeded
        )
        * 0.3
        for layer in range(config["num_hidden_layers"])
        for part in out
        for side in "AB"
    }
    directory = tmp_path_factory.mktemp("adapter")
    save_file(weights, directory / "adapter_model.safetensors")
    described = {"peft_type": "LORA", "r": RANK, "lora_alpha": 16, "target_modules": list(out), "bias": "none"}
    (directory / "adapter_config.json").write_text(json.dumps({**described, "task_type": "CAUSAL_LM"}))
    return directory


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def adapted(adapter):
    """An engine with one adapter, as `engine.vllm.lora` renders it."""
    from tailrace_protocol.settings import VllmSettings
    from tailrace_worker.engines.vllm import VllmEngine

    lora = ["--enable-lora", "--max-lora-rank", "8", "--max-loras", "1", "--lora-modules", f"bent={adapter}"]
    started = VllmEngine(VllmSettings(args=[*ARGS, *lora]), SERVED_NAME, capacity=8)
    await started.start(print)
    yield started
    await started.stop()


async def test_the_adapters_name_is_a_model_of_its_own(adapted):
    plain, bent = await answer(adapted, chat()), await answer(adapted, chat(model="bent"))

    assert "Paris" in text(plain)
    assert text(bent) != text(plain)


async def test_an_adapters_answer_is_continued_by_the_adapter(adapted):
    await assert_cut_anywhere(adapted, chat(model="bent"))


async def test_vllms_own_metrics_are_on_the_workers_page(adapted):
    """Of several engines in one process the newest one alone is on the page: here it is this one."""
    before = generated(Metrics(SERVED_NAME))
    await answer(adapted, chat(max_tokens=7, ignore_eos=True))
    assert generated(Metrics(SERVED_NAME)) - before == 7


def generated(metrics):
    page = metrics.page(Status(8, "ready")).decode()
    samples = [s for f in text_string_to_metric_families(page) for s in f.samples]
    return sum(s.value for s in samples if s.name == "vllm:generation_tokens_total")
