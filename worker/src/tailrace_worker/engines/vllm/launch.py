"""Starting vLLM: from the arguments of `vllm serve` to a running engine, with failures that a person can act on."""

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import NoReturn

from tailrace_protocol.termination import TerminationCode

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
from tailrace_worker.engines.vllm_core.failure_note import Note
from tailrace_worker.engines.vllm_core.resumption import RESUMED
from tailrace_worker.giving_up import CannotRunError, lacks_memory

_TELL_EVERY_S = 5.0
#: After it vLLM kills its processes. They have nothing to save: all that a stream needs is in its log.
_STOP_GRACE_S = 3.0
_PLUGIN = "tailrace"
#: How a hub answers for a model that it does not have, or not for this token.
_UNKNOWN_MODEL = ("is not a valid model identifier", "repository not found", "repositorynotfounderror")
#: What vLLM's processes raise for what they were asked, and not for what befell them.
_REFUSALS = ("ValueError", "ValidationError", "NotImplementedError")
_REFUSED_TOKEN = ("gated repo", "gatedrepoerror", "401 client error", "403 client error")


class LaunchError(CannotRunError):
    """vLLM cannot be started as it was asked for; the message says what to change."""


def bad_argument(problem: str, param: str = "vllm.args") -> LaunchError:
    """An argument that vLLM does not take."""
    return LaunchError(TerminationCode.BAD_ENGINE_ARGUMENT, problem, param)


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
        raise bad_argument(f"vllm.args: {error}; correct the argument") from error
    except SystemExit as error:
        raise bad_argument("vllm.args holds an argument that only prints help; remove it") from error
    parsed.model = parsed.model_tag or parsed.model
    _check_model(parsed.model)
    return parsed


def _refuse(message: str) -> NoReturn:
    raise bad_argument(f"vllm.args: {message}; see `vllm serve --help` for the arguments")


def _check_model(model: str) -> None:
    """Of a directory, see that it is one with a model; whether a hub has a model, vLLM finds out."""
    if not model.startswith(("/", "./", "../", "~")):
        return
    if (problem := _problem_of(Path(model).expanduser())) is not None:
        sentence = f"--model: the directory {model} {problem}"
        raise LaunchError(TerminationCode.MODEL_NOT_FOUND, sentence, "--model")


def _problem_of(directory: Path) -> str | None:
    try:
        names = [path.name for path in directory.iterdir()]
    except PermissionError:
        return _unreadable("")
    except OSError:
        return "does not exist; put the model there or name another directory"
    if "config.json" not in names:
        return "is no model directory (it has no config.json); put the model there or name another directory"
    closed = next((name for name in sorted(names) if not os.access(directory / name, os.R_OK)), None)
    return None if closed is None else _unreadable(f" ({closed})")


def _unreadable(what: str) -> str:
    return f"cannot be read by user {os.getuid()}{what}; let it read the files, or run the worker as their owner"


async def start(parsed: argparse.Namespace, progress: Progress, note: Note) -> AsyncLLM:
    """A running engine that is known to continue requests; `note` is where its processes tell why they fail.

    Raises:
        LaunchError: naming the argument and the remedy.
    """
    _set_environment()
    progress(f"starting vLLM with {parsed.model}")
    loading = asyncio.create_task(asyncio.to_thread(create_engine, parsed))
    try:
        engine = await _told(loading, progress)
    except Exception as error:
        raise explained(error, note.first(), parsed.model) from error
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


def explained(error: Exception, cause: str, model: str) -> LaunchError:
    """Why vLLM did not start with `model`: `cause` in its processes' words, or what it raised itself."""
    reason = cause or f"{type(error).__name__}: {' '.join(str(error).split())}"
    told = reason.lower()
    if lacks_memory(reason):
        return LaunchError(
            TerminationCode.OUT_OF_MEMORY,
            f"vLLM has too little memory for {model}: {reason}; lower --max-model-len or --max-num-seqs, change "
            "--gpu-memory-utilization or --kv-cache-memory-bytes, or give the worker more memory",
            "--max-model-len",
        )
    if any(words in told for words in _REFUSED_TOKEN):
        remedy = "give a token that may read it, and accept the model's terms"
        return LaunchError(TerminationCode.TOKEN_REFUSED, f"the hub refuses {model}: {reason}; {remedy}", "--model")
    if any(words in told for words in _UNKNOWN_MODEL):
        remedy = "correct the model's name or revision"
        return LaunchError(TerminationCode.MODEL_NOT_FOUND, f"there is no {model}: {reason}; {remedy}", "--model")
    sentence = f"vLLM cannot serve {model}: {reason}; correct vllm.args or the model"
    if (isinstance(error, ValueError) and not cause) or cause.startswith(_REFUSALS):
        return bad_argument(sentence)
    return LaunchError(TerminationCode.ENGINE_FAILED, sentence, "vllm.args")


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
        detail = "vLLM died on its first request; its log says why"
        raise LaunchError(TerminationCode.ENGINE_FAILED, detail, "vllm.args") from error
    if produced != 1:
        await stop(engine)
        raise LaunchError(
            TerminationCode.ENGINE_FAILED,
            "vLLM did not load Tailrace's plugin, without which it cannot continue an answer; install the package "
            "tailrace-worker into this environment",
            "vllm",
        )


async def stop(engine: AsyncLLM) -> None:
    """Stop the engine's processes; returns when they are gone."""
    stop_reading(engine)
    await asyncio.to_thread(engine.shutdown, _STOP_GRACE_S)
