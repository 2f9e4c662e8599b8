"""Models in S3, fetched from a server that speaks its API over loopback."""

import asyncio
import hashlib
import logging
import os

import pytest
from fetching import FetcherProcess, content, fetch, largest, settings, until
from s3_server import KEY, KEY_ID, running_s3
from tailrace_fetcher.failure import FetchError
from tailrace_protocol.fetch import S3Source

PART = 5 * 1024 * 1024
WEIGHTS = os.urandom(2 * PART + 12345)
FILES = {"config.json": b"{}", "tokenizer.json": b"{}" * 1000, "sub/pooling.json": b"[]", "model.safetensors": WEIGHTS}


@pytest.fixture
def s3(monkeypatch):
    for name, value in (
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", KEY),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    with running_s3() as server:
        for name, data in FILES.items():
            if name == "model.safetensors":
                server.put_in_parts(f"llm/a/{name}", data, PART)
            else:
                server.put(f"llm/a/{name}", data)
        server.put("llm/a/README.md", b"# hello")
        server.put("llm/a/", b"")
        server.put("llm/abc/config.json", b"another model")
        yield server


@pytest.fixture
def target(tmp_path):
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume" / "m"


def source(s3, prefix="llm/a", bucket="models"):
    return S3Source(bucket, prefix, endpoint=s3.url)


@pytest.mark.parametrize("prefix", ["llm/a", "/llm/a/"])
async def test_the_objects_below_a_prefix_arrive(s3, target, prefix):
    report = await fetch(settings(target, source(s3, prefix)))
    assert content(target) == FILES
    assert (report.state, report.bytes_done) == ("done", sum(map(len, FILES.values())))


async def test_an_upload_in_parts_is_verified_by_its_etag(s3, target):
    await fetch(settings(target, source(s3)))
    manifest = (target / ".tailrace-complete.json").read_text()
    etag = s3.client.head_object(Bucket="models", Key="llm/a/model.safetensors")["ETag"].strip('"')
    assert etag.endswith("-3")
    assert f'"expected": "md5-parts:{etag}"' in manifest
    assert f'"sha256": "{hashlib.sha256(WEIGHTS).hexdigest()}"' in manifest


async def test_a_store_that_keeps_a_sha256_is_held_to_it(s3, target):
    s3.put("llm/b/model.safetensors", b"weights", ChecksumAlgorithm="SHA256")
    await fetch(settings(target, source(s3, "llm/b")))
    assert (
        f'"expected": "sha256:{hashlib.sha256(b"weights").hexdigest()}"'
        in (target / ".tailrace-complete.json").read_text()
    )


async def test_an_object_that_changes_meanwhile_is_not_taken_for_the_listed_one(s3, target, monkeypatch):
    from tailrace_fetcher.sources.s3 import S3Prefix

    signed = S3Prefix._signed

    def changing(self, name):
        if name == "model.safetensors":
            s3.put("llm/a/model.safetensors", bytes(len(WEIGHTS)))
        return signed(self, name)

    monkeypatch.setattr(S3Prefix, "_signed", changing)
    with pytest.raises(FetchError, match=r"checksum_mismatch: .*model\.safetensors was replaced"):
        await fetch(settings(target, source(s3)))
    assert not target.exists()


async def test_an_etag_that_is_no_checksum_is_not_taken_for_one(s3, target, caplog, monkeypatch):
    """A store of its own mind: the same bytes twice, and an ETag that has nothing to do with them."""
    from tailrace_fetcher.digest import Digest
    from tailrace_fetcher.sources import s3 as module

    monkeypatch.setattr(module, "digest_of", lambda *_: Digest("md5", "0" * 32))
    with caplog.at_level(logging.WARNING, "tailrace.fetcher"):
        await fetch(settings(target, source(s3)))
    assert content(target) == FILES
    assert "fetch.etag_is_no_checksum" in caplog.text


async def test_a_download_goes_on_after_a_kill(s3, target, tmp_path):
    env = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": KEY}
    parts = target.parent / "m.partial" / ".tailrace-parts"
    large = os.urandom(12 * PART)  # Large enough to be seen half done.
    s3.put_in_parts("llm/a/large.safetensors", large, PART)
    first = FetcherProcess(settings(target, source(s3)), tmp_path / "first", env)
    try:
        await asyncio.to_thread(until, lambda: largest(parts) > PART, what="the first part")
    finally:
        first.kill()
    assert not target.exists()
    again = FetcherProcess(settings(target, source(s3)), tmp_path / "second", env)
    try:
        assert await asyncio.to_thread(again.wait) == 0
    finally:
        again.close()
    assert content(target) == {**FILES, "large.safetensors": large}
    for secret in (KEY, "X-Amz-Signature"):
        assert secret not in first.log + again.log


@pytest.mark.parametrize(
    ("bucket", "prefix", "words"),
    [
        ("nothing", "llm/a", "model_not_found: s3://nothing/llm/a/ does not exist"),
        ("models", "llm/x", "nothing lies below"),
    ],
)
async def test_what_is_not_there_is_said_to_be_missing(s3, target, bucket, prefix, words):
    with pytest.raises(FetchError, match=words) as caught:
        await fetch(settings(target, source(s3, prefix, bucket)))
    assert str(caught.value.code) == "model_not_found"


async def test_wrong_keys_are_refused_naming_the_secret(s3, target):
    s3.check_keys()
    with pytest.raises(FetchError, match=r"token_refused: .*spec\.model\.source\.s3\.credentialsSecret") as caught:
        await fetch(settings(target, source(s3)))
    assert KEY not in str(caught.value)
    assert KEY_ID not in str(caught.value)


async def test_half_a_pair_of_keys_is_refused_naming_the_secret(s3, target, monkeypatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(FetchError, match=r"token_refused: no usable credentials .*credentialsSecret"):
        await fetch(settings(target, source(s3)))


async def test_a_public_bucket_needs_no_keys(s3, target, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    s3.client.put_bucket_acl(Bucket="models", ACL="public-read")
    for name in FILES:
        s3.client.put_object_acl(Bucket="models", Key=f"llm/a/{name}", ACL="public-read")
    await fetch(settings(target, source(s3)))
    assert content(target) == FILES


async def test_a_store_that_is_not_there_is_given_up_with_the_reason(target, s3):
    nowhere = S3Source("models", "llm/a", endpoint="http://127.0.0.1:1")
    with pytest.raises(FetchError, match=r"source_unreachable: the store of s3://models/llm/a/ does not answer"):
        await fetch(settings(target, nowhere, give_up_s=1.0))


async def test_a_bucket_name_that_cannot_be_one_is_refused(s3, target):
    with pytest.raises(FetchError, match=r"bad_source: .*spec\.model\.source\.s3"):
        await fetch(settings(target, source(s3, bucket="not a bucket")))
