"""The engine's processes: they come with the engine, go with it, and never outlive the worker."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.settings import VllmSettings
from tailrace_protocol.termination import TerminationCode
from tailrace_worker.giving_up import CannotRunError

from .conftest import ARGS, SERVED_NAME
from .harness import chat, job

PARENT = """
import multiprocessing, os, time
from tailrace_worker.engines.vllm_core import resumption

def child():
    resumption._die_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=child).start()
    time.sleep(600)
"""


def test_importing_the_engines_package_does_not_import_vllm():
    code = "import sys, tailrace_worker.engines.simulated, tailrace_worker.engines.vllm_core.resumption; "
    code += "sys.exit('vllm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_of_the_engine_dies_with_the_worker(tmp_path, number):
    """A worker that is killed cannot clean up; its engine's processes notice by themselves."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        os.kill(parent.pid, number)
    assert gone(child)


async def test_an_engine_that_dies_midway_fails_its_streams_and_leaves_nothing(model):
    from tailrace_worker.engines.vllm import VllmEngine

    before = set(psutil.Process().children(recursive=True))
    doomed = VllmEngine(VllmSettings(args=ARGS), SERVED_NAME, capacity=8)
    await doomed.start(print)
    processes = set(psutil.Process().children(recursive=True)) - before
    core = next(process for process in processes if "EngineCore" in " ".join(_command(process)))
    streams = [await doomed.generate(job(chat(max_tokens=400, ignore_eos=True), streaming=s)) for s in (True, False)]
    for stream in streams:
        await anext(stream)
    core.kill()
    for stream in streams:
        with pytest.raises(TailraceError) as failure:
            async for _ in stream:
                pass
        assert failure.value.code is ErrorCode.ENGINE_FAILED
    assert not doomed.healthy
    await doomed.stop()
    assert all(gone(process.pid) for process in processes if "resource_tracker" not in "".join(_command(process)))


async def test_an_engine_that_cannot_start_says_why_and_leaves_nothing(model):
    from tailrace_worker.engines.vllm import VllmEngine

    before = set(psutil.Process().children(recursive=True))
    args = [*ARGS, "--kv-cache-memory-bytes", "1000"]
    failed = VllmEngine(VllmSettings(args=args), SERVED_NAME, capacity=8)
    with pytest.raises(CannotRunError, match="memory") as failure:
        await failed.start(print)
    await failed.stop()
    assert failure.value.code is TerminationCode.OUT_OF_MEMORY
    assert "root cause" not in failure.value.message
    assert "--max-model-len" in failure.value.message
    left = set(psutil.Process().children(recursive=True)) - before
    assert all(gone(process.pid) for process in left if "resource_tracker" not in "".join(_command(process)))


async def test_an_engine_whose_executor_fails_at_the_start_does_not_wait_for_ever(model, monkeypatch):
    """vLLM compiles the model in the executor's process; without a compiler that fails, and the core would hang."""
    from tailrace_worker.engines.vllm import VllmEngine

    monkeypatch.setenv("CXX", "/no/compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(model.parent / "no-cache"))
    before = set(psutil.Process().children(recursive=True))
    args = [argument for argument in ARGS if argument != "--enforce-eager"]
    failed = VllmEngine(VllmSettings(args=args), SERVED_NAME, capacity=8)
    with pytest.raises(CannotRunError, match="compiler"):
        await asyncio.wait_for(failed.start(print), 240)
    await failed.stop()
    left = set(psutil.Process().children(recursive=True)) - before
    assert all(gone(process.pid) for process in left if "resource_tracker" not in "".join(_command(process)))


async def test_an_argument_that_does_not_fit_the_model_is_told_as_such(model):
    from tailrace_worker.engines.vllm import VllmEngine

    args = [*ARGS, "--max-model-len", "10000000"]
    failed = VllmEngine(VllmSettings(args=args), SERVED_NAME, capacity=8)
    with pytest.raises(CannotRunError, match="max_model_len") as failure:
        await failed.start(print)
    await failed.stop()
    assert failure.value.code is TerminationCode.BAD_ENGINE_ARGUMENT


def gone(pid):
    """Whether the process ends, before long."""
    for _ in range(1000):
        if not psutil.pid_exists(pid) or "zombie" in Path(f"/proc/{pid}/status").read_text():
            return True
        time.sleep(0.01)
    return False


def _command(process):
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
