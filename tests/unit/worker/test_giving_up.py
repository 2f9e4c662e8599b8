"""Whoever applied the model learns from a worker's last words what to change."""

import pytest
from tailrace_broker.settings_file import SettingsError
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.termination import TerminationCode
from tailrace_worker.giving_up import CannotRunError, engine_died, lacks_memory, last_words_of

RAN_OUT = [
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB",
    "torch.OutOfMemoryError: HIP out of memory",
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
    "ValueError: To serve at least one request, 4.0 GiB KV cache is needed, which is larger than the available memory",
    "ValueError: Free memory on device cuda:0 (3.1/79.1 GiB) on startup is less than desired",
    "MemoryError",
    "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    "OSError: [Errno 12] Cannot allocate memory",
    "Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': -9}",
]
DID_NOT = [
    "ValueError: fp8 kv cache is not supported by this attention backend",
    "Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
    "Failed core proc(s): {'EngineCore': -95}",
    "RuntimeError: NCCL error",
    "",
]


@pytest.mark.parametrize("reason", RAN_OUT)
def test_memory_that_ran_out_is_recognised(reason):
    assert lacks_memory(reason)


@pytest.mark.parametrize("reason", DID_NOT)
def test_other_failures_are_not_taken_for_it(reason):
    assert not lacks_memory(reason)


def test_an_engine_that_died_of_memory_names_a_remedy():
    error = engine_died(RAN_OUT[0])
    assert error.code is TerminationCode.OUT_OF_MEMORY
    assert "lower --max-num-seqs" in error.message


@pytest.mark.parametrize(("reason", "told"), [("RuntimeError: NCCL error", "NCCL error"), ("", "its log says why")])
def test_an_engine_that_died_otherwise_says_of_what(reason, told):
    error = engine_died(reason)
    assert error.code is TerminationCode.ENGINE_FAILED
    assert told in error.message


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (SettingsError("wrong settings in x"), "bad_settings", "wrong settings in x"),
        (TailraceError(ErrorCode.BROKER_UNAVAILABLE, "no server"), "broker_unavailable", "no server"),
        (CannotRunError(TerminationCode.MODEL_NOT_FOUND, "no model"), "model_not_found", "no model"),
        (ImportError("no module vllm"), "engine_failed", "ImportError: no module vllm"),
        (TailraceError(ErrorCode.ENGINE_FAILED, "vLLM is not running"), "engine_failed", "vLLM is not running"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_failure_has_a_code_and_a_sentence(error, code, told):
    found, sentence = last_words_of(error)
    assert found == code
    assert told in sentence
