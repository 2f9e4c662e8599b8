"""The typed engine fields as arguments of `vllm serve`."""

import posixpath

from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.resources import StreamingModel
from tailrace_operator.resources.engine import VllmEngine
from tailrace_operator.resources.source import Source


def vllm_arguments(model: StreamingModel, vllm: VllmEngine, settings: RenderSettings) -> list[str]:
    """What `vllm serve` would be given for this model; a flag and its value are separate items."""
    assert model.spec.model is not None, "a rule of the resource"  # noqa: S101
    arguments = _source(model.spec.model.source, settings)
    arguments += ["--served-model-name", model.key.name]
    if vllm.context_length is not None:
        arguments += ["--max-model-len", str(vllm.context_length)]
    arguments += ["--dtype", vllm.dtype, "--max-num-seqs", str(vllm.max_streams)]
    arguments += ["--tensor-parallel-size", str(vllm.tensor_parallel_size)]
    arguments += ["--enable-prefix-caching" if vllm.prefix_caching else "--no-enable-prefix-caching"]
    if vllm.tool_call_parser is not None:
        arguments += ["--enable-auto-tool-choice", "--tool-call-parser", vllm.tool_call_parser]
    if vllm.reasoning_parser is not None:
        arguments += ["--reasoning-parser", vllm.reasoning_parser]
    return arguments + vllm.extra_args


def model_directory(source: Source, settings: RenderSettings) -> str | None:
    """Where a source's weights lie on the node, or `None` for a source that is downloaded."""
    return posixpath.join(settings.model_root, source.path) if source.path else None


def _source(source: Source, settings: RenderSettings) -> list[str]:
    directory = model_directory(source, settings)
    if directory is not None:
        return ["--model", directory]
    assert source.hf is not None, "a rule of the resource"  # noqa: S101
    return ["--model", source.hf.repo, "--revision", source.hf.revision]
