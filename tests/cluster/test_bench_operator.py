"""The benchmarks of the operator run, and what they promise at any size holds at a small one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def ran(which: str, folder: Path) -> tuple[dict[str, Any], str]:
    """What a benchmark wrote, and what it printed."""
    command = [sys.executable, "-m", "bench", which, "--tiny", "--results", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / f"{which}.json").read_text()), done.stdout


@pytest.mark.timeout(300, func_only=True)
def test_many_models_are_brought_about_and_then_nothing_is_written(tmp_path: Path) -> None:
    report, said = ran("reconcile", tmp_path)
    assert report["requests"] > report["writes"] > report["scenario"]["models"]
    assert (report["quiet_writes"], report["anew_writes"]) == (0, 0)
    assert report["quiet_looks"] >= 0
    assert report["one_ms"] > 0
    assert "CPU while nothing changes" in said


@pytest.mark.timeout(300, func_only=True)
def test_the_operators_answers_are_timed_up_to_the_api_server(tmp_path: Path) -> None:
    report, _ = ran("wake", tmp_path)
    for called in (report["from_zero_ms"], report["rush_ms"]):
        assert called["count"] == report["scenario"]["woken"]
        assert called["max"] >= called["p50"] > 0
