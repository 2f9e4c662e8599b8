"""The benchmark of many models runs, and what it promises at any size holds at a small one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300, func_only=True)
def test_many_models_are_brought_about_and_then_nothing_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "reconcile", "--tiny", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "reconcile.json").read_text())
    assert report["requests"] > report["writes"] > report["scenario"]["models"]
    assert (report["quiet_writes"], report["anew_writes"]) == (0, 0)
    assert report["quiet_looks"] >= 0
    assert report["one_ms"] > 0
    assert "CPU while nothing changes" in done.stdout
