"""Starting vLLM: from the arguments of `vllm serve` to a running engine, with failures that a person can act on."""

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import NoReturn

from tailrace_protocol.errors import ErrorCode, TailraceError

from tailrace_worker.engines.engine import Progress
from tailrace_worker.engines.vllm.internals import (
    AsyncLLM,
    EngineDeadError,
    RequestOutputKind,
    SamplingParams,
    argument_parser,
    check_arguments,
    create_engine,
    stop_reading,
    token_prompt,
)
from tailrace_worker.engines.vllm_core import failure_note
from tailrace_worker.engines.vllm_core.resumption import RESUMED

_TELL_EVERY_S = 5.0
#: After it vLLM kills its processes. They have nothing to save: all that a stream needs is in its log.
_STOP_GRACE_S = 3.0
_PLUGIN = "tailrace"
_MEMORY = ("out of memory", "memoryerror", "no available memory", "kv cache", "free memory", "cannot allocate")


class LaunchError(TailraceError):
    """vLLM cannot be started as it was asked for; the message says what to change."""

    def __init__(self, detail: str, field: str) -> None:
        super().__init__(ErrorCode.ENGINE_FAILED, detail, param=field)


def parse(args: list[str], served_name: str) -> argparse.Namespace:
    """`args` as `vllm serve` understands them.

    Raises:
        LaunchError: naming the argument.
    """
    parser = argument_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    try:
        parsed = parser.parse_args([*args, "--served-model-name", served_name])
        check_arguments(parsed)
    except (argparse.ArgumentError, ValueError, TypeError, KeyError) as error:
        raise LaunchError(f"vllm.args: {error}; correct the argument", "vllm.args") from error
    except SystemExit as error:
        raise LaunchError("vllm.args holds an argument that only prints help; remove it", "vllm.args") from error
    parsed.model = parsed.model_tag or parsed.model
    _check_model(parsed.model)
    return parsed


def _refuse(message: str) -> NoReturn:
    raise LaunchError(f"vllm.args: {message}; see `vllm serve --help` for the arguments", "vllm.args")


def _check_model(model: str) -> None:
    is_path = model.startswith(("/", "./", "../", "~"))
    if is_path and not (Path(model).expanduser() / "config.json").is_file():
        what = "is no model directory (it has no config.json)" if Path(model).is_dir() else "does not exist"
        raise LaunchError(
            f"--model: the directory {model} {what}; put the model there or name another directory", "--model"
        )


async def start(parsed: argparse.Namespace, progress: Progress) -> AsyncLLM:
    """A running engine that is known to continue requests.

    Raises:
        LaunchError: naming the argument and the remedy.
    """
    _set_environment()
    progress(f"starting vLLM with {parsed.model}")
    with failure_note.collected() as note:
        loading = asyncio.create_task(asyncio.to_thread(create_engine, parsed))
        try:
            engine = await _told(loading, progress)
        except Exception as error:
            raise _explained(error, note.read(), parsed) from error
    progress("warming up")
    await _check_continuation(engine)
    return engine


async def _told(loading: "asyncio.Task[AsyncLLM]", progress: Progress) -> AsyncLLM:
    started = time.monotonic()
    while not loading.done():
        await asyncio.wait([loading], timeout=_TELL_EVERY_S)
        if not loading.done():
            progress(f"loading weights and preparing the engine: {time.monotonic() - started:.0f} s")
    return loading.result()


def _set_environment() -> None:
    """What vLLM's own command line sets, and what a server in a cluster wants."""
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    allowed = os.environ.get("VLLM_PLUGINS")
    if allowed is not None and _PLUGIN not in allowed.split(","):
        os.environ["VLLM_PLUGINS"] = f"{allowed},{_PLUGIN}" if allowed else _PLUGIN


def _explained(error: Exception, cause: str, parsed: argparse.Namespace) -> LaunchError:
    reason = cause or " ".join(str(error).split())
    if any(word in reason.lower() for word in _MEMORY):
        return LaunchError(
            f"vLLM has too little memory for {parsed.model}: {reason}; lower --max-model-len or --max-num-seqs, change "
            "--gpu-memory-utilization or --kv-cache-memory-bytes, or give the worker more memory",
            "--max-model-len",
        )
    return LaunchError(f"vLLM cannot serve {parsed.model}: {reason}; correct vllm.args or the model", "vllm.args")


async def _check_continuation(engine: AsyncLLM) -> None:
    """Have the engine continue an answer of one token that may have two: only one may be generated."""
    params = SamplingParams(
        max_tokens=2, temperature=0.0, ignore_eos=True, detokenize=False, output_kind=RequestOutputKind.DELTA
    )
    params.extra_args = {RESUMED: [0]}
    produced = 0
    try:
        async for output in engine.generate(token_prompt([0]), params, "tailrace-warm-up"):
            produced += sum(len(completion.token_ids) for completion in output.outputs)
    except EngineDeadError as error:
        await stop(engine)
        raise LaunchError("vLLM died on its first request; its log says why", "vllm.args") from error
    if produced != 1:
        await stop(engine)
        raise LaunchError(
            "vLLM did not load Tailrace's plugin, without which it cannot continue an answer; install the package "
            "tailrace-worker into this environment",
            "vllm",
        )


async def stop(engine: AsyncLLM) -> None:
    """Stop the engine's processes; returns when they are gone."""
    stop_reading(engine)
    await asyncio.to_thread(engine.shutdown, _STOP_GRACE_S)
