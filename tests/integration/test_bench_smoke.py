"""The benchmarks run and report everything they promise. What the numbers are is not a test's business."""

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def run_bench(which, results):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", which, "--tiny", "--results", str(results)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_gateway_path_is_compared_with_a_bare_server(tmp_path):
    table = await run_bench("gateway-path", tmp_path)
    report = json.loads((tmp_path / "gateway_path.json").read_text())
    (load,) = report["loads"]
    for side, part in (("gateway", "gateway"), ("bare", "bare server")):
        (result,) = load[side]
        window = result["window"]
        assert result["troubles"] == []
        assert window["events"] > 0
        assert window["delay_ms"]["count"] == window["events"]
        assert {part, "load"} <= window["cpu_s"].keys()
        assert window["rss_open"][part] > 0
        assert result["first_token_ms"][0]["p50"] > 0
    assert len(report["unloaded"]["first_token_ms"]) == 2
    assert "added to the first token, unloaded, p50 | ≤ 1.5 ms" in table


async def test_the_pause_after_a_workers_death_is_measured(tmp_path):
    table = await run_bench("failover", tmp_path)
    report = json.loads((tmp_path / "failover.json").read_text())
    (fault,) = report["faults"]
    assert fault["signal"] == "SIGKILL"
    assert fault["identical"] == fault["streams"]
    assert fault["moved"] > 0
    assert fault["pause_ms"]["count"] == fault["moved"]
    assert "the worker dies (SIGKILL)" in table
