"""`make up` with two real vLLM workers and two gateways: the promises of the README, on real tokens.

Started once for the module: two engines take a minute or two to load on a small machine.
"""

import asyncio
import itertools
import json
import re
import signal
import time

import httpx
import psutil
import pytest
from local_up import ROOT, gone, up
from stack import stream

EXAMPLE = ROOT / "examples" / "smollm2-two-workers.yaml"
LOAD_S = 600
GREEDY = {"model": "smollm2", "stream": True, "temperature": 0, "max_tokens": 40}
STORY = {**GREEDY, "messages": [{"role": "user", "content": "Tell me a story about a river."}]}

pytestmark = pytest.mark.timeout(LOAD_S + 120)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    state = tmp_path_factory.mktemp("system") / "state"
    state.mkdir()
    (state / "models").symlink_to(ROOT / ".tailrace" / "models")
    with up(state, "--gateways", "2", file=EXAMPLE) as running:
        running.wait_for_match("Ctrl-C stops everything", LOAD_S)
        running.wait_for_match(r"(?s)worker (\w+) is ready.*worker (\w+) is ready", LOAD_S)
        family, temporary = running.family(), running.temporary()
        assert any(path.is_socket() for path in temporary.iterdir()), "vLLM has its sockets elsewhere"
        yield running
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        assert gone(family)
        assert not temporary.exists()


@pytest.fixture
async def client():
    async with httpx.AsyncClient(timeout=120) as http:
        yield http


def url(system, path, gateway=0):
    return f"http://127.0.0.1:{system.port + gateway}/v1/{path}"


def writer(system, frames):
    """The process that writes the stream whose events, with Tailrace's own, are given."""
    name = [json.loads(f.data)["worker"] for f in frames if f.event == "tailrace.attempt"][-1]
    found = re.search(rf"worker\.ready worker={name} .*pid=(\d+)", system.everything_said())
    return psutil.Process(int(found.group(1)))


async def test_the_capital_of_france(system, client):
    question = [{"role": "user", "content": "What is the capital of France?"}]
    answer = await stream(client, "POST", url(system, "chat/completions"), json={**GREEDY, "messages": question})
    assert "Paris" in answer.text
    assert answer.done
    assert answer.ids == list(range(1, len(answer.ids) + 1))


async def test_a_cut_connection_resumes_on_the_other_gateway(system, client):
    undisturbed = await stream(client, "POST", url(system, "chat/completions"), json=STORY)
    begun = await stream(client, "POST", url(system, "chat/completions"), json=STORY, stop_after=10)
    address = url(system, f"streams/{begun.stream_id}", gateway=1)
    rest = await stream(client, "GET", address, headers={"Last-Event-ID": str(begun.ids[-1])})
    assert begun.text + rest.text == undisturbed.text
    assert begun.ids + rest.ids == undisturbed.ids


async def test_the_generating_worker_is_killed_and_the_text_is_identical(system, client):
    body = {**STORY, "max_tokens": 60}
    undisturbed = await stream(client, "POST", url(system, "chat/completions"), json=body)
    times, killed = [], []

    def kill(frames):
        times.append(time.monotonic())
        if len(frames) == 15:
            victim = writer(system, frames)
            killed.append(victim)
            victim.kill()

    headers = {"Tailrace-Events": "all"}
    answer = await stream(client, "POST", url(system, "chat/completions"), json=body, headers=headers, on_frame=kill)
    assert killed
    assert [a["attempt"] for a in answer.attempts] == [1, 2]
    pauses = sorted(b - a for a, b in itertools.pairwise(times))
    print(f"pauses between events: median {pauses[len(pauses) // 2] * 1000:.0f} ms, longest {pauses[-1] * 1000:.0f} ms")
    assert answer.text == undisturbed.text
    assert answer.ids == undisturbed.ids
    assert answer.finish == undisturbed.finish


async def test_delete_reaches_the_engine(system, client):
    body = {**STORY, "max_tokens": 1500, "ignore_eos": True}
    headers = {"Tailrace-On-Disconnect": "continue"}
    begun = await stream(client, "POST", url(system, "chat/completions"), json=body, headers=headers, stop_after=5)
    start = time.monotonic()
    deleted = await client.delete(url(system, f"streams/{begun.stream_id}", gateway=1))
    print(f"cancel confirmed by the worker after {(time.monotonic() - start) * 1000:.0f} ms")
    assert deleted.json()["status"] == "cancelled"
    again = await stream(client, "GET", url(system, f"streams/{begun.stream_id}"))
    assert again.error["code"] == "cancelled"
    assert len(again.ids) < 200


async def test_over_long_prompts_and_impossible_schemas_are_refused_by_field(system, client):
    long = {**GREEDY, "messages": [{"role": "user", "content": "river " * 5000}]}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    for streaming in (True, False):
        error = await refusal(system, client, {**long, "stream": streaming})
        assert error["code"] == "context_length_exceeded"
        assert "2048" in error["message"]
        error = await refusal(system, client, {**STORY, "stream": streaming, "response_format": schema})
        assert error["param"] == "response_format"


async def refusal(system, client, body):
    """What refuses a request: its status or, if the verdict takes longer than the status waits, the stream."""
    refused = await client.post(url(system, "chat/completions"), json=body)
    if body["stream"] and refused.status_code == 200:
        events = [json.loads(line[6:]) for line in refused.text.splitlines() if line.startswith("data: {")]
        return events[-1]["error"]
    assert refused.status_code == 400
    return refused.json()["error"]


async def test_an_eight_mebibyte_body_reaches_vllm_which_says_what_is_wrong(system, client):
    body = {**GREEDY, "messages": [{"role": "user", "content": "x" * (8 * 1024 * 1024 - 400)}]}
    refused = await client.post(url(system, "chat/completions"), json=body)
    answer = refused.json()["error"] if refused.status_code == 400 else refused.text[-500:]
    assert "context_length_exceeded" in str(answer)


async def test_many_at_once_share_the_workers(system, client):
    bodies = [
        {**GREEDY, "max_tokens": 12, "messages": [{"role": "user", "content": f"Count to {i}."}]} for i in range(12)
    ]
    answers = await asyncio.gather(
        *(stream(client, "POST", url(system, "chat/completions", i % 2), json=body) for i, body in enumerate(bodies))
    )
    assert all(answer.done and answer.finish for answer in answers)
