"""A worker that cannot start says which argument is wrong and what to do."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tailrace_protocol.termination import TerminationCode

from .conftest import ARGS


@pytest.fixture
def parse():
    from tailrace_worker.engines.vllm import launch

    return lambda args: launch.parse(args, "smollm2")


def refused(parse, args):
    from tailrace_worker.engines.vllm.launch import LaunchError

    with pytest.raises(LaunchError) as error:
        parse(args)
    return error.value


def test_arguments_are_those_of_vllm_serve(parse, model):
    parsed = parse(ARGS)
    assert (parsed.model, parsed.max_model_len, parsed.served_model_name) == (str(model), 2048, ["smollm2"])


def test_a_missing_model_directory(parse, tmp_path):
    error = refused(parse, ["--model", str(tmp_path / "nowhere")])
    assert (error.code, error.param) == (TerminationCode.MODEL_NOT_FOUND, "--model")
    assert "nowhere does not exist" in error.message


def test_a_directory_that_is_no_model(parse, tmp_path):
    error = refused(parse, ["--model", str(tmp_path)])
    assert error.code is TerminationCode.MODEL_NOT_FOUND
    assert "config.json" in error.message


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become a user who may not read")
@pytest.mark.parametrize(
    ("modes", "told"), [((0o700, 0o644), "65532;"), ((0o755, 0o600), "65532 (model.safetensors);")]
)
def test_a_directory_that_may_not_be_read(modes, told):
    with tempfile.TemporaryDirectory() as directory:  # below a directory that everybody may read
        (Path(directory) / "config.json").write_text("{}")
        (Path(directory) / "model.safetensors").touch(modes[1])
        Path(directory).chmod(modes[0])
        words = told_to_nobody(directory)
    assert words.startswith("model_not_found --model: the directory")
    assert f"cannot be read by user {told}" in words


def told_to_nobody(directory):
    code = f"""
import os
from tailrace_worker.engines.vllm import launch
os.setuid(65532)
try:
    launch._check_model({directory!r})
except launch.LaunchError as error:
    print(error.code, error.message)
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--no-such-argument", "1"], "--no-such-argument"),
        (["--max-model-len", "many"], "max-model-len"),
        (["--dtype", "int3"], "dtype"),
        (["--enable-auto-tool-choice"], "--tool-call-parser"),
        (["--spec-meth=ngram"], "--spec-meth"),
    ],
)
def test_a_wrong_argument(parse, model, args, named):
    error = refused(parse, ["--model", str(model), *args])
    assert named in error.message
    assert error.code is TerminationCode.BAD_ENGINE_ARGUMENT


@pytest.mark.parametrize(
    ("error", "cause", "code"),
    [
        (RuntimeError("see root cause above"), "OutOfMemoryError: CUDA out of memory.", "out_of_memory"),
        (RuntimeError("Failed core proc(s): {'EngineCore': -9}"), "", "out_of_memory"),
        (ValueError("max_model_len is greater"), "", "bad_engine_argument"),
        (RuntimeError("see root cause above"), "NotImplementedError: fp8 on this device", "bad_engine_argument"),
        (OSError("x/y is not a local folder and is not a valid model identifier"), "", "model_not_found"),
        (OSError("You are trying to access a gated repo."), "", "token_refused"),
        (RuntimeError("see root cause above"), "RuntimeError: NCCL error", "engine_failed"),
        (RuntimeError("see root cause above"), "", "engine_failed"),
    ],
)
def test_what_vllm_failed_of_has_a_code(error, cause, code):
    from tailrace_worker.engines.vllm import launch

    explained = launch.explained(error, cause, "/models/m")
    assert explained.code == code
    assert "/models/m" in explained.message


def test_the_cause_comes_out_of_the_engines_process(tmp_path, monkeypatch):
    """vLLM itself tells it only in the log of the process that failed."""
    import logging

    from tailrace_worker.engines.vllm_core import failure_note

    logger = logging.getLogger("vllm")
    monkeypatch.setattr(logger, "handlers", list(logger.handlers))
    with failure_note.collected() as note:
        failure_note.write_failures()
        try:
            raise ValueError("No available memory\nfor the cache blocks")
        except ValueError:
            logger.exception("The first trouble.")
        try:
            raise RuntimeError("died of it")
        except RuntimeError:
            logger.exception("EngineCore encountered a fatal error.")
        assert note.first() == "ValueError: No available memory for the cache blocks"
        assert note.latest() == "RuntimeError: died of it"
