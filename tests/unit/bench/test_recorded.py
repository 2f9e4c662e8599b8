"""Anyone can bring a trace; what is wrong with it is told by file, line and remedy."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.scaling.recorded import TraceError, faster, multiplied, read
from bench.scaling.request import Request

ROOT = Path(__file__).parents[3]
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
GOOD = HEADER + "2023-11-16 18:17:05.9799600,800,10\n2023-11-16 18:17:03.9799600,8000,0\n"


def written(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_requests_come_in_order_from_zero_on(tmp_path, name):
    requests = read(written(tmp_path, GOOD, name))
    assert [r.at for r in requests] == pytest.approx([0.0, 2.0])
    assert [r.service_s for r in requests] == pytest.approx([1.02, 0.1 + 0.3 + 0.02])


@pytest.mark.parametrize("stamp", ["2023-11-16T18:17:03Z", "2023-11-16 18:17:03+00:00", "2023-11-16 18:17:03.5"])
def test_the_usual_ways_to_write_a_time_are_read(tmp_path, stamp):
    assert read(written(tmp_path, f"{HEADER}{stamp},1,1\n"))[0].at == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column TIMESTAMP, ContextTokens, GeneratedTokens"),
        ("TIMESTAMP,ContextTokens\n", "no column GeneratedTokens"),
        (HEADER, "holds no requests"),
        (HEADER + "yesterday,1,1\n", "line 2.*wanted: a time like"),
        (HEADER + "2023-11-16 18:17:03,many,1\n", "line 2.*many"),
        (HEADER + "2023-11-16 18:17:03,1\n", "line 2"),
        (HEADER + "2023-11-16 18:17:03,1,-1\n", "fewer than none"),
    ],
)
def test_a_trace_that_cannot_be_read_says_where_and_what_is_wanted(tmp_path, text, message):
    with pytest.raises(TraceError, match=message):
        read(written(tmp_path, text))


def test_what_is_no_text_or_not_there_is_told(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(b"not gzip")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("t.csv.gz", "t.csv", "none.csv"):
        with pytest.raises(TraceError, match="cannot be read"):
            read(tmp_path / name)


def test_traces_are_sped_up_and_multiplied():
    requests = [Request(0.0, 1.0), Request(10.0, 2.0)]
    assert faster(requests, 2) == [Request(0.0, 1.0), Request(5.0, 2.0)]
    many = multiplied(requests, 5)
    assert (len(many), sum(r.service_s for r in many)) == (10, 15.0)
    assert many == sorted(many)


def bench(*arguments):
    command = [sys.executable, "-m", "bench.scaling", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_the_command_writes_one_object_for_each_policy_setting_and_cold_start(tmp_path):
    out = tmp_path / "made" / "rows.json"
    run = bench("--trace", written(tmp_path, GOOD, "mine.csv.gz"), "--json", out, "--cold-start", 15, 90)
    assert run.returncode == 0, run.stderr
    rows = json.loads(out.read_text())
    assert set(rows[0]) == {
        *("trace", "cold_start_s", "policy", "setting", "wait_p50_s", "wait_p95_s", "wait_p99_s"),
        *("refused", "gpu_hours", "replica_changes", "streams_cut"),
    }
    policies = {row["policy"] for row in rows}
    assert policies == {"tailrace", "knative-kpa", "kubeai", "keda-hpa", "hpa-utilization", "oracle"}
    for policy in policies:
        assert len({row["setting"] for row in rows if row["policy"] == policy}) >= 5
    assert {(row["trace"], row["cold_start_s"]) for row in rows} == {("mine", 15.0), ("mine", 90.0)}


def test_the_command_refuses_a_bad_trace_with_one_line(tmp_path):
    run = bench("--trace", written(tmp_path, "a,b\n"), "--json", tmp_path / "rows.json")
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "no column" in run.stderr
    assert not (tmp_path / "rows.json").exists()
