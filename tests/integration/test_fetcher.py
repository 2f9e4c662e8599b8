"""The fetcher as a pod runs it: killed, stopped, doubled, watched, refused. The hub is a mirror over loopback."""

import asyncio
import json
import time
from pathlib import Path

import nats
import pytest
from fetching import FetcherProcess, content, make_model, settings, until
from file_server import FileServer
from hub_mirror import SIGNATURE, Access, HubMirror
from tailrace_operator.local.broker import LocalBroker
from tailrace_protocol import subjects
from tailrace_protocol.fetch import HubSource, decode_fetch_report
from tailrace_protocol.settings import NatsSettings

WEIGHTS = 8_000_000
PACE = 6_000_000.0
SMOLLM2 = Path(__file__).parents[2] / ".tailrace" / "models" / "smollm2-135m-instruct"


@pytest.fixture
def repo(tmp_path):
    return tmp_path / "repo"


@pytest.fixture
def needed(repo):
    return make_model(repo, weights=WEIGHTS, shards=2)


@pytest.fixture
def mirror(repo, needed):
    with HubMirror("org/m", {"main": repo}).running() as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "volume" / "m"


@pytest.fixture
def start(tmp_path, target, mirror):
    """Starts fetchers, and ends those that are left."""
    started = []

    def begin(name="a", env=None, **changes):
        source = HubSource("org/m", endpoint=mirror.url)
        given = settings(changes.pop("to", target), source, **changes)
        target.parent.mkdir(exist_ok=True)
        started.append(FetcherProcess(given, tmp_path / name, env or {}))
        return started[-1]

    yield begin
    for process in started:
        process.close()


def sent(server: FileServer) -> int:
    return sum(asked.sent for asked in server.asked)


async def test_a_killed_download_goes_on_where_it_was(start, mirror, needed, target):
    mirror.faults.bytes_per_s = PACE
    first = start("first")
    await asyncio.to_thread(until, lambda: sent(mirror) > WEIGHTS, what="half of the download")
    first.kill()
    assert not target.exists()
    mirror.faults.bytes_per_s = 0.0
    assert start("second").wait() == 0
    assert content(target) == needed
    again = sent(mirror) - sum(map(len, needed.values()))
    assert again < 4_000_000, f"{again} bytes were asked for twice"
    assert [asked.start for asked in mirror.of_files() if asked.start] != []


async def test_a_finished_download_is_recognised_without_asking_the_hub(start, mirror, target):
    assert start("first").wait() == 0
    mirror.asked.clear()
    begun = time.monotonic()
    assert start("second").wait() == 0
    assert time.monotonic() - begun < 10
    assert mirror.asked == []


async def test_sigterm_stops_cleanly_and_keeps_what_is_there(start, mirror, needed, target):
    mirror.faults.bytes_per_s = PACE
    first = start("first", lock_lease_s=60.0)
    await asyncio.to_thread(until, lambda: sent(mirror) > WEIGHTS, what="half of the download")
    begun = time.monotonic()
    first.popen.terminate()
    assert first.wait() == 143
    assert time.monotonic() - begun < 10
    assert "fetch.stopped" in first.log
    assert "Traceback" not in first.log
    assert first.termination.read_text() == ""
    assert not target.exists()
    before, mirror.faults.bytes_per_s = sent(mirror), 0.0
    # The lock is free at once, though its lease is a minute.
    assert start("second", lock_lease_s=60.0).wait() == 0
    assert content(target) == needed
    assert sent(mirror) - before < sum(map(len, needed.values())) - WEIGHTS / 2


async def test_two_fetchers_on_one_volume_fetch_once(start, mirror, needed, target, tmp_path):
    async with LocalBroker(tmp_path / "broker") as broker, heard(broker) as reports:
        mirror.faults.bytes_per_s = PACE / 50
        nats_settings = broker.settings_for("worker")
        first = start("first", nats=nats_settings, lock_lease_s=2.0)
        await asyncio.to_thread(until, lambda: sent(mirror) > 0, what="the first download")
        second = start("second", nats=nats_settings, lock_lease_s=2.0)
        await asyncio.to_thread(until, lambda: any(report.state == "waiting" for report in reports), what="waiting")
        mirror.faults.bytes_per_s = 0.0
        assert await asyncio.to_thread(second.wait) == 0
        assert await asyncio.to_thread(first.wait) == 0
    assert content(target) == needed
    assert sent(mirror) < sum(map(len, needed.values())) + 100_000
    waiting = [report for report in reports if report.state == "waiting"]
    assert waiting
    assert "waiting for another download" in waiting[0].message
    assert list(target.parent.glob("m.*")) == []


async def test_progress_is_reported_twice_a_second_until_it_is_done(start, mirror, needed, tmp_path):
    async with LocalBroker(tmp_path / "broker") as broker, heard(broker) as reports:
        mirror.faults.bytes_per_s = PACE / 2
        process, begun = start(nats=broker.settings_for("worker")), time.monotonic()
        assert await asyncio.to_thread(process.wait) == 0
        seconds = time.monotonic() - begun
        await asyncio.sleep(0.2)
    last, total = reports[-1], sum(map(len, needed.values()))
    assert (last.state, last.bytes_done, last.bytes_total, last.files_done) == ("done", total, total, len(needed))
    downloading = [report for report in reports if report.state == "downloading"]
    assert 3 <= len(downloading) <= 2 * seconds + 2
    assert sorted(report.bytes_done for report in downloading) == [report.bytes_done for report in downloading]
    assert any(report.file.endswith(".safetensors") for report in downloading)
    assert "percent=100 " in process.log


async def test_a_broker_that_is_away_does_not_hold_up_a_download(start, needed, target):
    begun = time.monotonic()
    process = start(nats=NatsSettings(servers=["nats://127.0.0.1:1"], user="worker", password_file="/nowhere"))
    assert await asyncio.to_thread(process.wait) == 0
    assert time.monotonic() - begun < 10
    assert content(target) == needed


async def test_a_broker_that_dies_in_the_middle_does_not_stop_a_download(start, mirror, needed, target, tmp_path):
    async with LocalBroker(tmp_path / "broker") as broker:
        mirror.faults.bytes_per_s = PACE
        process = start(nats=broker.settings_for("worker"))
        await asyncio.to_thread(until, lambda: sent(mirror) > 1_000_000, what="the download")
    assert await asyncio.to_thread(process.wait) == 0
    assert content(target) == needed


async def test_no_secret_gets_into_logs_reports_or_messages(start, mirror, target, tmp_path):
    token = "hf_TOPSECRETtoken"
    mirror.access = Access(token=token, gated=True)
    mirror.faults.statuses.extend([(503, {}), (500, {})])
    mirror.faults.drops, mirror.faults.drop_after = 3, 500_000
    async with LocalBroker(tmp_path / "broker") as broker, heard(broker) as reports:
        good = start("good", env={"HF_TOKEN": token}, nats=broker.settings_for("worker"))
        assert await asyncio.to_thread(good.wait) == 0
        wrong = start(
            "wrong", env={"HF_TOKEN": f"{token}x"}, to=target.with_name("m2"), nats=broker.settings_for("worker")
        )
        assert await asyncio.to_thread(wrong.wait) == 1
        await asyncio.sleep(0.2)
        password = broker.credentials.password("worker")
    assert "fetch.trouble" in good.log
    assert any(report.state == "failed" for report in reports)
    told = [good.log, wrong.log, wrong.termination.read_text(), *(repr(report) for report in reports)]
    told.extend(path.read_text() for path in target.glob(".tailrace*"))
    for secret in (token, SIGNATURE, password, "Bearer"):
        assert not any(secret in text for text in told), secret


async def test_a_refusal_is_told_by_exit_code_termination_message_and_report(start, mirror, target, tmp_path):
    mirror.access = Access(token="hf_good", gated=True)
    async with LocalBroker(tmp_path / "broker") as broker, heard(broker) as reports:
        process = start(nats=broker.settings_for("worker"))
        assert await asyncio.to_thread(process.wait) == 1
        await asyncio.sleep(0.2)
    words = process.termination.read_text()
    assert words.startswith("token_refused: org/m is gated: accept its conditions on 127.0.0.1")
    assert "spec.model.source.hf.tokenSecret" in words
    assert (reports[-1].state, reports[-1].code) == ("failed", "token_refused")
    assert reports[-1].message in words
    assert not target.exists()
    # It is over, but not for ever: the conditions are accepted, a token is there.
    assert start("again", env={"HF_TOKEN": "hf_good"}).wait() == 0


@pytest.mark.parametrize("text", ["{", json.dumps({"namespace": "n"})])
def test_wrong_settings_are_told_by_exit_code_and_log(start, tmp_path, text):
    process = start()
    assert process.wait() == 0
    wrong = tmp_path / "wrong.json"
    wrong.write_text(text)
    process.start(wrong)
    assert process.wait() == 2
    assert "code=bad_settings reason=wrong settings in" in process.log


@pytest.mark.skipif(not SMOLLM2.exists(), reason="no real model here: run `make model`")
async def test_a_real_model_arrives_byte_for_byte(tmp_path):
    with HubMirror("HuggingFaceTB/SmolLM2-135M-Instruct", {"main": SMOLLM2}).running() as mirror:
        target = tmp_path / "volume" / "smollm2"
        target.parent.mkdir()
        source = HubSource("HuggingFaceTB/SmolLM2-135M-Instruct", endpoint=mirror.url)
        process = FetcherProcess(settings(target, source), tmp_path / "fetcher")
        try:
            assert await asyncio.to_thread(process.wait, 100) == 0, process.log
        finally:
            process.close()
        names = {file.name for file in SMOLLM2.iterdir()}
        assert {file.name for file in target.iterdir()} == names | {".tailrace-complete.json"}
        for name in names:
            assert same(SMOLLM2 / name, target / name), name
        manifest = json.loads((target / ".tailrace-complete.json").read_text())
        assert manifest["revision"] == mirror.commit("main")


def same(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(1 << 20):
            if chunk != right.read(1 << 20):
                return False
        return right.read(1) == b""


class heard:
    """The fetch reports that pass the broker."""

    def __init__(self, broker):
        self.broker = broker

    async def __aenter__(self):
        password = self.broker.credentials.password("operator")
        self.client = await nats.connect(self.broker.url, user="operator", password=password)
        reports = []

        async def take(message):
            assert message.subject == subjects.fetch_report(subjects.ModelKey("prod", "m"))
            reports.append(decode_fetch_report(message.data))

        await self.client.subscribe(subjects.ALL_FETCH_REPORTS, cb=take)
        await self.client.flush()
        return reports

    async def __aexit__(self, *_):
        await self.client.close()
