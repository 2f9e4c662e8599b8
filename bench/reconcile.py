"""What a thousand models cost: the time until all of them are brought about, and what the operator needs then.

The models are made while the operator is away, so that the API server's own work of taking them in is not counted.
Then it starts, under its ServiceAccount, on an API server of its own; no node runs their pods.
"""

import subprocess
import tempfile
import time
from pathlib import Path

import msgspec
import psutil
import yaml
from harness import launch
from harness.cluster import API, Cluster
from operator_stack import Stack, operator_stack, simulated

from bench.machine import Machine, describe

_PATIENCE_S = 600.0
#: Each look at a page of 3,000 numbers costs the operator 15 ms.
_READY_S = 1.0
_MODELS_PER_NAMESPACE = 100


class Scenario(msgspec.Struct, frozen=True):
    """How many models, all of them at zero and scaled by the operator; the quiet after it is watched for seconds."""

    models: int
    quiet_s: float


FULL = Scenario(models=1000, quiet_s=60.0)
#: For the smoke test.
TINY = Scenario(models=20, quiet_s=5.0)
_SCALING = {"minReplicas": 0, "maxReplicas": 4}


class Report(msgspec.Struct, frozen=True):
    """`quiet_cpu_percent` is of one core; `one_ms` is a single new model among all the others; `anew` is a restart."""

    machine: Machine
    scenario: Scenario
    seconds: float
    peak_rss_mb: float
    rss_mb: float
    requests: int
    writes: int
    quiet_writes: int
    quiet_looks: int
    quiet_cpu_percent: float
    one_ms: float
    anew_cpu_s: float
    anew_writes: int


def measure(scenario: Scenario) -> Report:
    """Run the scenario on a fresh API server."""
    machine = describe()
    cluster = launch.start(API)
    try:
        with tempfile.TemporaryDirectory() as folder, operator_stack(cluster, Path(folder)) as stack:
            return _measure(scenario, machine, stack)
    finally:
        cluster.stop()


def _measure(scenario: Scenario, machine: Machine, stack: Stack) -> Report:
    stack.operator.kill()
    namespaces = _make(stack.cluster, scenario)
    began = time.monotonic()
    stack.operator.start()
    process, peak = _process(stack), 0.0
    while _brought_about(stack) < scenario.models:
        peak = max(peak, process.memory_info().rss / 1e6)
        if time.monotonic() - began > _PATIENCE_S:
            raise RuntimeError(f"{_brought_about(stack):.0f} of {scenario.models} models after {_PATIENCE_S:.0f} s")
        time.sleep(_READY_S)
    seconds = time.monotonic() - began
    _settle(stack)
    requests, writes = stack.operator.metric("tailrace_operator_api_requests_total") or 0, stack.operator.writes()
    cpu, looks = _cpu(process), _looks(stack)
    time.sleep(scenario.quiet_s)
    quiet_cpu = 100 * (_cpu(process) - cpu) / scenario.quiet_s
    quiet_writes = int(stack.operator.writes() - writes)
    quiet_looks = int(_looks(stack) - looks)
    rss = process.memory_info().rss / 1e6
    one_ms = _one_more(stack, namespaces[0])
    anew_cpu_s, anew_writes = _anew(stack)
    return Report(
        machine=machine,
        scenario=scenario,
        seconds=seconds,
        peak_rss_mb=max(peak, rss),
        rss_mb=rss,
        requests=int(requests),
        writes=int(writes),
        quiet_writes=quiet_writes,
        quiet_looks=quiet_looks,
        quiet_cpu_percent=quiet_cpu,
        one_ms=one_ms,
        anew_cpu_s=anew_cpu_s,
        anew_writes=anew_writes,
    )


def _anew(stack: Stack) -> tuple[float, int]:
    """What it costs to look at everything again, by an operator that remembers nothing: CPU seconds, and writes."""
    _settle(stack)
    stack.operator.stop()
    stack.operator.start()
    stack.operator.wait_started()
    _settle(stack)
    return _cpu(_process(stack)), int(stack.operator.writes())


def _make(cluster: Cluster, scenario: Scenario) -> list[str]:
    count = -(-scenario.models // _MODELS_PER_NAMESPACE)
    namespaces = [f"bench-{number:02}" for number in range(count)]
    for namespace in namespaces:
        cluster.kubectl("create", "namespace", namespace)
    documents = []
    for number in range(scenario.models):
        model = simulated(f"m{number}", scaling=_SCALING, queue={"maxWaiting": 100})
        model["metadata"] = {"name": f"m{number}", "namespace": namespaces[number // _MODELS_PER_NAMESPACE]}
        documents.append(model)
    cluster.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(documents), timeout_s=_PATIENCE_S)
    return namespaces


def _brought_about(stack: Stack) -> float:
    """How many models have a status: it is written after all else."""
    return float(stack.operator.series("tailrace_operator_condition", kind="StreamingModel", condition="Ready"))


def _looks(stack: Stack) -> float:
    """How many objects were looked at so far."""
    return stack.operator.metric("tailrace_operator_reconciles_total") or 0


def _process(stack: Stack) -> psutil.Process:
    running = stack.operator.process
    if running is None:
        raise RuntimeError("the operator does not run")
    return psutil.Process(running.pid)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _settle(stack: Stack) -> None:
    """Wait until some seconds pass without a request: loads are counted every five."""
    before = -1.0
    while (now := stack.operator.metric("tailrace_operator_api_requests_total") or 0) != before:
        before = now
        time.sleep(6)


def _one_more(stack: Stack, namespace: str) -> float:
    watching = [
        "get",
        "sm",
        "one-more",
        "-n",
        namespace,
        "--watch",
        "-o",
        "jsonpath={.status.conditions[*].type}{'\\n'}",
    ]
    stack.cluster.apply(simulated("one-more", scaling=_SCALING), namespace)
    began = time.monotonic()
    command = [str(stack.cluster.kubectl_path), *watching]
    with subprocess.Popen(command, env=stack.cluster.environment(), stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        next(line for line in watch.stdout if "Ready" in line)
        took = 1000 * (time.monotonic() - began)
        watch.kill()
    return took


def render(report: Report) -> str:
    """The table, in Markdown."""
    s, m = report.scenario, report.machine
    head = (
        f"{s.models} models at zero, which the operator scales; {m.cpu}, {m.cores} cores for operator, API server and "
        "broker."
    )
    rows = [
        ("operator started until all are brought about", f"{report.seconds:.1f} s", "< 60 s"),
        ("memory of the operator: peak, then", f"{report.peak_rss_mb:.0f} MB, {report.rss_mb:.0f} MB", "< 300 MB"),
        ("requests to the API server, writes among them", f"{report.requests}, {report.writes}", ""),
        (f"writes while nothing changes, {s.quiet_s:.0f} s", f"{report.quiet_writes}", "0"),
        ("looks at objects meanwhile", f"{report.quiet_looks}", ""),
        ("CPU while nothing changes", f"{report.quiet_cpu_percent:.2f} % of a core", "< 2 %"),
        ("a restart: to look at everything anew", f"{report.anew_cpu_s:.1f} s of CPU, {report.anew_writes} writes", ""),
        ("one more model until its status says so", f"{report.one_ms:.0f} ms", ""),
    ]
    return "\n".join(
        [head, "", "| what | figure | aim |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    )
