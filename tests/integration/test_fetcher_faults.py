"""What a download meets on its way, each with what it does about it; the fetcher runs inside the test."""

import asyncio
import hashlib
import ssl
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fetching import content, fetch, largest, make_model, settings, until
from file_server import FileServer
from hub_mirror import Access, HubMirror
from tailrace_fetcher.failure import FetchError
from tailrace_fetcher.part import PartFile
from tailrace_fetcher.transfer import STEP_BYTES
from tailrace_protocol.fetch import HttpFile, HttpSource, HubSource

WEIGHTS = 1_500_000


@pytest.fixture
def needed(tmp_path):
    return make_model(tmp_path / "repo", weights=WEIGHTS, shards=2)


@pytest.fixture
def mirror(tmp_path, needed):
    with HubMirror("org/m", {"main": tmp_path / "repo"}).running() as server:
        yield server


@pytest.fixture
def web(tmp_path, needed):
    with FileServer(tmp_path / "repo").running() as server:
        yield server


@pytest.fixture
def target(tmp_path):
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume" / "m"


@pytest.fixture
def given(target, mirror):
    return settings(target, HubSource("org/m", endpoint=mirror.url))


def files_of(web, needed):
    return HttpSource(
        [
            HttpFile(f"{web.url}/files/{name}?sig=s3cret", hashlib.sha256(data).hexdigest(), name)
            for name, data in needed.items()
        ]
    )


async def test_files_on_a_web_server_arrive(web, needed, target):
    report = await fetch(settings(target, files_of(web, needed)))
    assert content(target) == needed
    assert (report.state, report.files_done, report.bytes_done) == ("done", len(needed), sum(map(len, needed.values())))


async def test_dropped_connections_are_continued(web, needed, target):
    web.faults.drop_after, web.faults.drops = 600_000, 3
    await fetch(settings(target, files_of(web, needed)))
    assert content(target) == needed
    assert sum(asked.sent for asked in web.of_files()) < sum(map(len, needed.values())) + 3_000_000
    assert sum(asked.start > 0 for asked in web.of_files()) == 3


async def test_a_server_without_ranges_is_asked_for_the_whole_again(web, needed, target):
    web.faults.drop_after, web.faults.drops, web.faults.no_ranges = 600_000, 1, True
    await fetch(settings(target, files_of(web, needed)))
    assert content(target) == needed


async def test_a_server_that_continues_elsewhere_is_not_trusted(web, needed, target):
    web.faults.drop_after, web.faults.drops, web.faults.shifted_ranges = 600_000, 1, 10
    await fetch(settings(target, files_of(web, needed)))
    assert content(target) == needed


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
async def test_a_busy_server_is_asked_again(given, mirror, needed, target, status):
    mirror.faults.statuses.extend([(status, {})] * 2)
    await fetch(given)
    assert content(target) == needed


async def test_a_busy_hub_is_asked_again_for_its_listing_too(given, mirror, needed, target):
    mirror.faults.all_pages = True
    mirror.faults.statuses.extend([(503, {}), (429, {"RateLimit": '"api";r=0;t=1'})])
    begun = time.monotonic()
    await fetch(given)
    assert content(target) == needed
    assert time.monotonic() - begun >= 1.2


async def test_retry_after_is_respected(given, mirror, needed, target):
    mirror.faults.statuses.append((429, {"Retry-After": "2"}))
    begun = time.monotonic()
    await fetch(given)
    assert time.monotonic() - begun >= 2


async def test_a_server_that_stays_down_is_given_up_with_the_reason(given, mirror, target):
    mirror.faults.statuses.extend([(503, {})] * 1000)
    with pytest.raises(FetchError, match=r"source_unreachable: 127\.0\.0\.1 answers 503 .*gave up after"):
        await fetch(settings(target, given.source, give_up_s=2.0))


async def test_a_host_that_is_not_there_is_given_up_with_the_reason(target):
    source = HubSource("org/m", endpoint="http://127.0.0.1:1")
    with pytest.raises(
        FetchError, match=r"source_unreachable: 127\.0\.0\.1 does not give the listing of org/m \(ConnectError\)"
    ):
        await fetch(settings(target, source, give_up_s=1.0))


async def test_a_name_that_cannot_be_resolved_is_said_to_be_one(target):
    source = HubSource("org/m", endpoint="http://hub.invalid")
    with pytest.raises(FetchError, match=r"source_unreachable: the name hub\.invalid cannot be resolved"):
        await fetch(settings(target, source, give_up_s=1.0))


@pytest.fixture
def self_signed(tmp_path):
    """A certificate that nobody trusts yet, and a server's TLS made of it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


async def test_a_certificate_that_is_not_trusted_is_named_at_once_and_can_be_trusted(
    tmp_path, needed, target, self_signed, monkeypatch
):
    certificate, tls = self_signed
    with FileServer(tmp_path / "repo", tls).running() as server:
        source = files_of(server, needed)
        begun = time.monotonic()
        with pytest.raises(FetchError, match=r"source_unreachable: the certificate of 127\.0\.0\.1 .*SSL_CERT_FILE"):
            await fetch(settings(target, source))
        assert time.monotonic() - begun < 5
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await fetch(settings(target, source))
    assert content(target) == needed


async def test_many_hiccups_do_not_add_up_while_there_is_progress(web, needed, target):
    """More waiting in sum than may pass without progress."""
    web.faults.drop_after, web.faults.drops = 128_000, 14
    begun = time.monotonic()
    await fetch(settings(target, files_of(web, needed), give_up_s=3.0, parallel=1))
    assert time.monotonic() - begun > 3
    assert content(target) == needed


async def test_a_damaged_byte_is_noticed_and_the_file_fetched_again(given, mirror, needed, target):
    mirror.faults.corrupt, mirror.faults.corruptions = 700_000, 1
    await fetch(given)
    assert content(target) == needed
    assert len([asked for asked in mirror.of_files() if asked.sent == WEIGHTS]) == 3


async def test_a_file_that_stays_damaged_is_refused_with_both_checksums(given, mirror, target):
    mirror.faults.corrupt, mirror.faults.corruptions = 700_000, 100
    with pytest.raises(
        FetchError, match=r"checksum_mismatch: model-0000\d-of-00002.safetensors .*expected 1500000 bytes, sha256:"
    ):
        await fetch(given)
    assert not target.exists()


@pytest.mark.parametrize("size", [WEIGHTS - 1000, WEIGHTS + 1000])
async def test_a_file_of_another_size_than_listed_is_refused_at_once(
    given, mirror, tmp_path, target, monkeypatch, size
):
    listing = mirror._listing

    def changing(*arguments):
        page = listing(*arguments)
        (tmp_path / "repo" / "model-00001-of-00002.safetensors").write_bytes(bytes(size))
        return page

    monkeypatch.setattr(mirror, "_listing", changing)
    monkeypatch.setattr(mirror, "commit", lambda _: "c" * 40)
    with pytest.raises(FetchError, match=r"checksum_mismatch: model-00001.* has another size at 127\.0\.0\.1"):
        await fetch(given)


async def test_a_stop_in_the_middle_of_a_write_leaves_a_part_that_can_be_continued(
    given, mirror, needed, target, monkeypatch
):
    append, writing, written = PartFile.append, threading.Event(), {}

    def slow(self, chunk):
        if self.offset > 500_000:
            writing.set()
            time.sleep(0.3)
        append(self, chunk)
        written[self.file.name] = self.offset

    monkeypatch.setattr(PartFile, "append", slow)
    task = asyncio.create_task(fetch(given))
    assert await asyncio.to_thread(writing.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    mirror.asked.clear()
    await fetch(given)
    assert content(target) == needed
    begun = {
        Path(urlsplit(asked.path).path).name: asked.start for asked in mirror.of_files() if "safetensors" in asked.path
    }
    assert max(begun.values()) > 500_000
    assert begun == {name: written.get(name, 0) for name in begun}


async def test_damage_in_what_a_crash_left_behind_is_noticed(web, needed, target):
    web.faults.drop_after, web.faults.drops = 600_000, 1000
    source = files_of(web, needed)
    task = asyncio.create_task(fetch(settings(target, source, give_up_s=5.0)))
    folder = target.parent / "m.partial" / ".tailrace-parts"
    await asyncio.to_thread(until, lambda: largest(folder) > 0, what="a part")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for part in folder.iterdir():
        part.write_bytes(b"\0" * part.stat().st_size)
    web.faults.drops = 0
    await fetch(settings(target, source))
    assert content(target) == needed


@pytest.mark.parametrize(
    ("access", "token", "code", "words"),
    [
        (Access(token="t", gated=True), "", "token_refused", "gated: accept its conditions"),
        (Access(token="t", gated=True, accepted=False), "t", "token_refused", "the one that the token in"),
        (Access(token="t"), "", "model_not_found", "a private one needs a token"),
        (Access(token="t"), "wrong", "token_refused", "refuses the token"),
    ],
)
async def test_whoever_may_not_read_a_model_is_told_what_to_do(given, mirror, monkeypatch, access, token, code, words):
    mirror.access = access
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(FetchError, match=f"{code}: .*{words}") as caught:
        await fetch(given)
    assert "spec.model.source.hf.tokenSecret" in caught.value.sentence


async def test_the_token_goes_to_the_hub_and_not_to_its_content_network(given, mirror, monkeypatch, needed, target):
    mirror.access = Access(token="t")
    monkeypatch.setenv("HF_TOKEN", " t\n")
    await fetch(given)
    assert content(target) == needed
    seen = {asked.path.split("/")[1]: bool(asked.authorization) for asked in mirror.asked}
    assert seen == {"api": True, "org": True, "cdn": False}


async def test_a_model_that_is_not_there_is_said_to_be_missing(given, mirror):
    with pytest.raises(FetchError, match=r"model_not_found: .*org/other"):
        await fetch(settings(Path(given.target), HubSource("org/other", endpoint=mirror.url)))


async def test_an_environment_that_forbids_the_hub_is_named(given, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FetchError, match=r"bad_settings: HF_HUB_OFFLINE is set"):
        await fetch(given)


async def test_a_revision_that_is_not_there_is_said_to_be_missing(given, mirror):
    with pytest.raises(FetchError, match=r"revision_not_found: .*'v7'"):
        await fetch(settings(Path(given.target), HubSource("org/m", revision="v7", endpoint=mirror.url)))


async def test_a_host_that_is_no_hub_is_said_to_be_none(target, web):
    page = web.root / "api/models/org/m/revision"
    page.mkdir(parents=True)
    (page / "main").write_text("<html>hello</html>")
    with pytest.raises(FetchError, match=r"bad_source: 127\.0\.0\.1 gives no listing"):
        await fetch(settings(target, HubSource("org/m", endpoint=f"{web.url}/files")))


async def test_a_repository_without_weights_for_vllm_is_refused(tmp_path, target):
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / "model.gguf").write_bytes(b"g")
    expected = pytest.raises(FetchError, match=r"bad_source: org/gguf holds no weights .*only \.gguf")
    with HubMirror("org/gguf", {"main": tmp_path / "gguf"}).running() as mirror, expected:
        await fetch(settings(target, HubSource("org/gguf", endpoint=mirror.url)))


async def test_a_mirror_that_lists_names_only_is_asked_for_each_file(given, mirror, needed, target):
    mirror.tells_blobs = False
    await fetch(given)
    assert content(target) == needed
    assert '"sha256:' in (target / ".tailrace-complete.json").read_text()


async def test_a_branch_that_moves_during_a_download_ends_as_one_revision(tmp_path, given, mirror, target):
    newer = make_model(tmp_path / "newer", weights=WEIGHTS, shards=2)
    mirror.faults.bytes_per_s = 1_000_000
    task = asyncio.create_task(fetch(given))
    await asyncio.to_thread(until, lambda: sum(asked.sent for asked in mirror.asked) > WEIGHTS // 2, what="some bytes")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    mirror.faults.bytes_per_s = 0
    mirror.revisions["main"] = tmp_path / "newer"
    await fetch(given)
    assert content(target) == newer


async def test_a_web_files_refusals_are_told_apart(web, needed, target):
    source = HttpSource([HttpFile(f"{web.url}/files/nothing?sig=s3cret", "0" * 64, "config.json")])
    for status, words in (
        (404, "model_not_found: .*has no config.json"),
        (403, "token_refused: .*signature has not expired"),
    ):
        web.faults.statuses.append((status, {}))
        web.faults.all_pages = True
        with pytest.raises(FetchError, match=words) as caught:
            await fetch(settings(target, source))
        assert "s3cret" not in str(caught.value)


async def test_a_redirect_to_nowhere_is_said_to_be_one(web, needed, target):
    source = HttpSource([HttpFile(f"{web.url}/files/config.json", "0" * 64, "config.json")])
    web.faults.statuses.extend([(302, {"Location": "ftp://elsewhere/"})] * 2)
    with pytest.raises(FetchError, match=r"bad_source: .*UnsupportedProtocol"):
        await fetch(settings(target, source, give_up_s=1.0))


async def test_what_is_held_in_memory_does_not_grow_with_the_file(given, monkeypatch):
    sizes = []
    append = PartFile.append

    def counting(self, chunk):
        sizes.append(len(chunk))
        append(self, chunk)

    monkeypatch.setattr(PartFile, "append", counting)
    await fetch(given)
    assert 0 < max(sizes) <= 2 * STEP_BYTES
