"""Lets vLLM's engine core begin a request with output that it has produced already, elsewhere.

vLLM knows this case: a request that was preempted comes back with its output tokens and has them computed again. A
continuation is the same, only that another engine produced the tokens. Told so, the engine itself keeps everything
that depends on earlier output: the grammar's state, all penalties, bad words, minimum and maximum length, prompt
log-probabilities, seeded sampling, speculative decoding. Had the tokens been sent as part of the prompt, each of
these would have to be given back one by one.

This module is a vLLM plugin (entry point `vllm.general_plugins`): vLLM loads it in the front end, the engine core
and every executor process. It also makes those processes die with their parent, so that a worker that was killed
leaves no engine behind.
"""

import multiprocessing
import os
import threading
from multiprocessing.connection import wait
from typing import Any

from tailrace_worker.engines.vllm_core import failure_note

#: Key of `SamplingParams.extra_args` under which the tokens travel.
RESUMED = "tailrace_resumed_tokens"
_installed = False


def register() -> None:
    """Install into this process; a second call changes nothing."""
    global _installed
    if _installed:
        return
    _installed = True
    _install_in_scheduler()
    _install_in_grammar()
    _install_in_runner()
    if multiprocessing.parent_process() is not None:
        _die_with_parent()
        failure_note.write_failures()


def resumed_tokens(params: Any) -> list[int]:
    """The tokens that a request with these sampling parameters has produced already."""
    extra = getattr(params, "extra_args", None)
    return list(extra.get(RESUMED) or ()) if extra else []


def _install_in_scheduler() -> None:
    from vllm.v1.request import Request

    plain = Request.from_engine_core_request.__func__

    def from_engine_core_request(cls: Any, request: Any, block_hasher: Any) -> Any:
        created = plain(cls, request, block_hasher)
        if tokens := resumed_tokens(created.sampling_params):
            created.append_output_token_ids(tokens)
            # As after a preemption: the prefix cache may hold more than the prompt, which is no error then.
            created.num_preemptions = 1
        return created

    Request.from_engine_core_request = classmethod(from_engine_core_request)


def _install_in_grammar() -> None:
    from vllm.v1.structured_output import StructuredOutputManager

    plain = StructuredOutputManager._create_grammar

    def create_grammar(manager: Any, request: Any) -> Any:
        grammar = plain(manager, request)
        if tokens := resumed_tokens(request.sampling_params):
            _advance(manager, request, grammar, tokens)
        return grammar

    StructuredOutputManager._create_grammar = create_grammar


def _advance(manager: Any, request: Any, grammar: Any, tokens: list[int]) -> None:
    """Do what the scheduler did when these tokens were sampled; the grammar may begin after the reasoning only."""
    start, _ = manager._get_constraint_bounds(request, tokens, spec_tokens_committed=True)
    if start > len(tokens):
        return
    request.structured_output_request.reasoning_ended = True
    if not grammar.accept_tokens(request.request_id, tokens[start:]):
        raise ValueError("the grammar does not accept what the log holds already")


def _install_in_runner() -> None:
    """The older model runner makes its own state of a new request; the newer one is sent all tokens by vLLM itself."""
    from vllm.v1.worker.gpu_input_batch import CachedRequestState

    plain = CachedRequestState.__post_init__

    def post_init(state: Any) -> None:
        plain(state)
        tokens = resumed_tokens(state.sampling_params)
        if tokens and not state.output_token_ids:
            state.output_token_ids.extend(tokens)
            _advance_generator(state.generator, len(tokens))

    CachedRequestState.__post_init__ = post_init


def _advance_generator(generator: Any, draws: int) -> None:
    """A seeded request continues its random sequence: the CPU sampler draws one number for each token."""
    if generator is None or generator.device.type != "cpu":
        return
    import torch

    for _ in range(draws):
        torch.randint(0, 2**31, (1,), generator=generator, dtype=torch.long)


def _die_with_parent() -> None:
    """Watch the parent from a thread: it also notices a SIGKILL, after which no clean-up of the parent runs."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, name="tailrace-parent-watch", daemon=True).start()
