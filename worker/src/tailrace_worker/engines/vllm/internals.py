"""The only place that touches vLLM's internals.

Everything here is pinned by `tests/engine/test_contract.py`, so that an upgrade of vLLM fails there, by name, and not
in a stream. (The side of the engine core is `engines.vllm_core`.)
"""

import argparse
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.entrypoints.serve.exception_handling.error_response import create_error_response
from vllm.exceptions import VLLMValidationError
from vllm.logprobs import Logprob
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.reasoning import ReasoningParserManager
from vllm.renderers.inputs.preprocess import extract_prompt_components
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.tokenizers.detokenizer_utils import convert_ids_list_to_tokens
from vllm.tool_parsers import ToolParserManager
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.detokenizer import IncrementalDetokenizer
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.logprobs import LogprobsProcessor

__all__ = [
    "AsyncLLM",
    "ChatCompletionRequest",
    "CompletionOutput",
    "CompletionRequest",
    "EngineDeadError",
    "ErrorResponse",
    "IncrementalDetokenizer",
    "Logprob",
    "RequestOutput",
    "RequestOutputKind",
    "SamplingParams",
    "ServingObjects",
    "VLLMValidationError",
    "add_token_texts",
    "argument_parser",
    "build_serving",
    "check_arguments",
    "checked_request",
    "create_engine",
    "error_response",
    "prompt_text_of",
    "stop_reading",
    "token_prompt",
]

#: How many tokens before a token are looked at to find the text of a character that spans several tokens.
_TEXT_CONTEXT = 4


class ServingObjects:
    """vLLM's serving classes on top of `engine`, as its HTTP server would hold them."""

    def __init__(self, state: Any) -> None:
        self.chat = state.openai_serving_chat.create_chat_completion
        self.completion = state.openai_serving_completion.create_completion


def argument_parser() -> argparse.ArgumentParser:
    """The parser of `vllm serve`'s arguments. Whole names only: what a typed field sets is told by its name."""
    empty = FlexibleArgumentParser(prog="vllm serve", exit_on_error=False, allow_abbrev=False)
    parser: argparse.ArgumentParser = make_arg_parser(empty)
    return parser


def check_arguments(arguments: argparse.Namespace) -> None:
    """What `vllm serve` checks before it loads anything; raises what vLLM raises."""
    validate_parsed_serve_args(arguments)
    for plugin, manager in (
        (arguments.tool_parser_plugin, ToolParserManager.import_tool_parser),
        (arguments.reasoning_parser_plugin, ReasoningParserManager.import_reasoning_parser),
    ):
        if plugin:
            manager(plugin)


def create_engine(arguments: argparse.Namespace) -> AsyncLLM:
    """Start the engine's processes and load the model; takes seconds to minutes, and blocks."""
    engine_args = AsyncEngineArgs.from_cli_args(arguments)
    return AsyncLLM.from_engine_args(engine_args, usage_context=UsageContext.OPENAI_API_SERVER)


def stop_reading(engine: AsyncLLM) -> None:
    """Stop waiting for outputs: an engine that stops because it was told to is not to be taken for a dead one."""
    if engine.output_handler is not None:
        engine.output_handler.cancel()


async def build_serving(engine_client: Any, arguments: argparse.Namespace) -> ServingObjects:
    """The serving classes on top of `engine_client`, without HTTP."""
    from starlette.datastructures import State

    state = State()
    await init_app_state(engine_client, state, arguments, supported_tasks=("generate",))
    return ServingObjects(state)


def checked_request(engine: AsyncLLM, request_id: str, prompt: Any, params: SamplingParams, lora: Any) -> Any:
    """vLLM's own check of prompt and parameters; the result has the parameters completed (end-of-text tokens).

    Raises what vLLM raises for a request that it refuses.
    """
    return engine.input_processor.process_inputs(
        request_id, prompt, params, supported_tasks=("generate",), lora_request=lora
    )


def prompt_text_of(engine: AsyncLLM, prompt: Any) -> str | None:
    """The prompt as text, where there is one."""
    text: str | None = extract_prompt_components(engine.model_config, prompt).text
    return text


def token_prompt(token_ids: list[int]) -> dict[str, Any]:
    """A prompt that needs no rendering."""
    return {"type": "token", "prompt_token_ids": token_ids}


def error_response(error: Exception) -> ErrorResponse:
    """How vLLM's HTTP server would tell `error`."""
    return create_error_response(error)


def add_token_texts(tokenizer: Any, before: Sequence[int], positions: Sequence[dict[int, Logprob] | None]) -> None:
    """Write the text of each candidate into `positions`, whose first candidates follow the tokens `before`.

    Done here and not by the engine, because the text of a token that holds a part of a character depends on the
    tokens before it, which may be on the other side of a cut.
    """
    corrector = LogprobsProcessor(tokenizer, None, None, None, None, None)
    context = list(before)[-_TEXT_CONTEXT:]
    for candidates in positions:
        if not candidates:
            continue
        ids = list(candidates)
        texts = convert_ids_list_to_tokens(tokenizer, ids)
        texts = corrector._verify_tokens(decoded_tokens_list=texts, tokens=ids, context_token_ids=context)
        for candidate, text in zip(candidates.values(), texts, strict=True):
            candidate.decoded_token = text
        context = [*context, ids[0]][-_TEXT_CONTEXT:]


Outputs = AsyncGenerator[RequestOutput, None]
