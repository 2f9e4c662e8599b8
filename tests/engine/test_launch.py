"""A worker that cannot start says which argument is wrong and what to do."""

import pytest

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
    assert error.param == "--model"
    assert "nowhere does not exist" in error.message


def test_a_directory_that_is_no_model(parse, tmp_path):
    assert "config.json" in refused(parse, ["--model", str(tmp_path)]).message


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--no-such-argument", "1"], "--no-such-argument"),
        (["--max-model-len", "many"], "max-model-len"),
        (["--dtype", "int3"], "dtype"),
        (["--enable-auto-tool-choice"], "--tool-call-parser"),
    ],
)
def test_a_wrong_argument(parse, model, args, named):
    assert named in refused(parse, ["--model", str(model), *args]).message


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
            logger.exception("EngineCore failed to start.")
        assert note.read() == "ValueError: No available memory for the cache blocks"
