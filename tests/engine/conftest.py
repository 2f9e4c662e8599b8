"""One real vLLM with the real small model for all engine tests: starting it is what costs.

Run by the workers' environment: `.venv-worker/bin/python -m pytest tests/engine`. Elsewhere, where vLLM is not
installed, there is nothing to collect.
"""

import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
import pytest_asyncio

os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / ".tailrace" / "models" / "smollm2-135m-instruct"
SERVED_NAME = "smollm2"
ARGS = [
    *("--model", str(MODEL), "--dtype", "float32", "--enforce-eager", "--max-model-len", "2048"),
    *("--max-num-seqs", "8", "--block-size", "32", "--kv-cache-memory-bytes", "268435456"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    # For trying another configuration of the same engine, such as --async-scheduling.
    *shlex.split(os.environ.get("TAILRACE_ENGINE_TEST_ARGS", "")),
]

collect_ignore_glob = [] if importlib.util.find_spec("vllm") else ["test_*.py"]


def pytest_configure(config):
    quieten(config)
    give_vllm_a_folder(config)


def give_vllm_a_folder(config):
    """Have vLLM's sockets and files in a folder that goes with the tests: it removes none of them itself."""
    kernels = Path(tempfile.gettempdir()) / f"torchinductor_{os.getuid()}"
    folder = tempfile.TemporaryDirectory(prefix="tailrace-vllm-")
    config.add_cleanup(folder.cleanup)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(kernels))
    os.environ["TMPDIR"] = os.environ["VLLM_RPC_BASE_PATH"] = folder.name


def quieten(config):
    """Warnings of libraries that we do not own, which are errors elsewhere."""
    for warning in (
        "ignore::DeprecationWarning:vllm",
        "ignore::DeprecationWarning:torch",
        "ignore::FutureWarning",
        "ignore:builtin type .* has no __module__ attribute:DeprecationWarning",
        "ignore:.*deprecated.*:DeprecationWarning",
    ):
        config.addinivalue_line("filterwarnings", warning)
    # vLLM leaves its ZeroMQ context to the garbage collector, which may come after the last test.
    config.addinivalue_line("filterwarnings", "ignore:Unclosed context:ResourceWarning")
    warnings.filterwarnings("ignore", "Unclosed context", ResourceWarning)


def pytest_collection_modifyitems(items):
    """All tests share the engine's event loop; the first one waits for the engine."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            if pytest_asyncio.is_async_test(item):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(480))


@pytest.fixture(scope="session")
def model():
    """The real small model, prepared once for all runs."""
    subprocess.run([sys.executable, str(ROOT / "scripts" / "prepare_model.py"), str(MODEL)], check=True)
    return MODEL


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(model):
    """A started engine."""
    from tailrace_protocol.settings import VllmSettings
    from tailrace_worker.engines.vllm import VllmEngine

    started = VllmEngine(VllmSettings(args=ARGS), SERVED_NAME, capacity=8)
    await started.start(print)
    yield started
    await started.stop()
