"""What the sources' answers mean for whoever wrote the resource."""

import base64
import hashlib

import httpx2
import pytest
from tailrace_fetcher.digest import Digest
from tailrace_fetcher.failure import FailureCode, FetchError
from tailrace_fetcher.ranges import whole_size
from tailrace_fetcher.sources.hub import HubRepository
from tailrace_fetcher.sources.hub import refusal as hub_refusal
from tailrace_fetcher.sources.s3 import S3Prefix, digest_of, with_parts
from tailrace_fetcher.sources.s3 import refusal as s3_refusal
from tailrace_fetcher.sources.source import Request, check_address, host_of
from tailrace_fetcher.sources.web import WebFiles
from tailrace_protocol.fetch import HttpFile, HttpSource, HubSource, S3Source

SECRET = "spec.model.source.hf.tokenSecret"
HUB = HubSource("org/m", "v9")
SHA = "ab" * 32


@pytest.mark.parametrize(
    ("status", "headers", "has_token", "code", "words"),
    [
        (404, {"x-error-code": "RepoNotFound"}, True, "model_not_found", ["org/m", "source.hf.repo", SECRET]),
        (401, {"x-error-code": "RepoNotFound"}, False, "model_not_found", ["org/m", "private", SECRET]),
        (404, {"x-error-code": "RevisionNotFound"}, False, "revision_not_found", ["'v9'", "source.hf.revision"]),
        (403, {"x-error-code": "GatedRepo"}, True, "token_refused", ["gated", "accept", SECRET]),
        (401, {"x-error-code": "GatedRepo"}, False, "token_refused", ["gated", "accept", SECRET]),
        (401, {}, True, "token_refused", ["refuses the token", SECRET]),
        (401, {}, False, "token_refused", ["without a token", SECRET, "gated"]),
        (403, {}, True, "token_refused", [SECRET]),
        (403, {"x-error-message": "Access to this resource is disabled."}, True, "model_not_found", ["disabled"]),
        (404, {}, True, "model_not_found", ["org/m"]),
        (400, {}, True, "bad_source", ["400"]),
    ],
)
def test_the_hubs_refusals_name_the_field_to_change(status, headers, has_token, code, words):
    failure = hub_refusal(status, headers, HUB, "hub.example", has_token=has_token)
    assert str(failure.code) == code
    assert "hub.example" in failure.sentence
    assert [word for word in words if word not in failure.sentence] == []


@pytest.mark.parametrize(
    ("code", "status", "region", "expected", "word"),
    [
        ("NoSuchBucket", 404, "", "model_not_found", "spec.model.source.s3"),
        ("404", 404, "", "model_not_found", "spec.model.source.s3"),
        ("AccessDenied", 403, "", "token_refused", "credentialsSecret"),
        ("SignatureDoesNotMatch", 403, "", "token_refused", "credentialsSecret"),
        ("InvalidAccessKeyId", 403, "", "token_refused", "credentialsSecret"),
        ("", 403, "", "token_refused", "credentialsSecret"),
        ("PermanentRedirect", 301, "eu-central-1", "bad_source", "eu-central-1"),
        ("InvalidRequest", 400, "", "bad_source", "400"),
    ],
)
def test_an_s3_stores_refusals_name_the_field_to_change(code, status, region, expected, word):
    failure = s3_refusal(code, status, "s3://b/p/", region)
    assert str(failure.code) == expected
    assert "s3://b/p/" in failure.sentence
    assert word in failure.sentence


@pytest.mark.parametrize(("status", "code"), [(301, "bad_source"), (400, "bad_source"), (403, "token_refused")])
def test_a_bucket_in_another_region_is_told_by_the_stores_header(status, code):
    source = S3Prefix(S3Source("b", "p", region="us-east-1"))
    failure = source.refusal(status, {"x-amz-bucket-region": "eu-central-1"}, "config.json")
    assert str(failure.code) == code
    assert ("lies in the region eu-central-1" in failure.sentence) == (code == "bad_source")


MD5 = hashlib.md5(b"x").hexdigest()


@pytest.mark.parametrize(
    ("head", "bucket", "digest"),
    [
        ({"ETag": f'"{MD5}"'}, "b", Digest("md5", MD5)),
        ({"ETag": f'"{MD5}-3"'}, "b", Digest("md5-parts", f"{MD5}-3")),
        ({"ETag": f'"{MD5}"', "ServerSideEncryption": "AES256"}, "b", Digest("md5", MD5)),
        ({"ETag": f'"{MD5}"', "ServerSideEncryption": "aws:kms"}, "b", Digest("none", MD5)),
        ({"ETag": f'"{MD5}"', "SSECustomerAlgorithm": "AES256"}, "b", Digest("none", MD5)),
        ({"ETag": f'"{MD5}"'}, "b--use1-az4--x-s3", Digest("none", MD5)),
        ({"ETag": '"something"'}, "b", Digest("none", "something")),
        ({"ETag": f'"{MD5}-x"'}, "b", Digest("none", f"{MD5}-x")),
        ({}, "b", Digest("none", "")),
        (
            {
                "ETag": f'"{MD5}-3"',
                "ChecksumSHA256": base64.b64encode(bytes.fromhex(SHA)).decode(),
                "ChecksumType": "FULL_OBJECT",
            },
            "b",
            Digest("sha256", SHA),
        ),
        (
            {"ETag": f'"{MD5}-3"', "ChecksumSHA256": "abc=-3", "ChecksumType": "COMPOSITE"},
            "b",
            Digest("md5-parts", f"{MD5}-3"),
        ),
    ],
)
def test_of_an_objects_checksums_the_best_that_holds_is_taken(head, bucket, digest):
    assert digest_of(head, bucket) == digest


def test_an_etag_of_parts_is_checked_only_where_equal_parts_make_up_the_object():
    digest = Digest("md5-parts", f"{MD5}-3")
    assert with_parts(digest, 10, 30).part_bytes == 10
    assert with_parts(digest, 10, 21).part_bytes == 10
    assert with_parts(digest, 10, 20).kind == "none"
    assert with_parts(digest, 10, 31).kind == "none"
    assert with_parts(digest, 0, 30).kind == "none"


@pytest.mark.parametrize(
    ("status", "headers", "size"),
    [
        (206, {"content-range": "bytes 0-0/123"}, 123),
        (206, {"content-range": "bytes 0-0/*"}, None),
        (416, {"content-range": "bytes */0"}, 0),
        (200, {"content-length": "123"}, 123),
        (200, {"content-length": "123", "content-encoding": "gzip"}, None),
        (200, {}, None),
    ],
)
def test_a_files_size_is_taken_from_whatever_the_server_tells(status, headers, size):
    assert whole_size(status, headers) == size


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ([], "source.files is empty"),
        ([HttpFile("ftp://h/a", SHA, "a")], r"source\.files\[0\]\.url \(a\) is not an http"),
        (
            [HttpFile("https://h/a", SHA, "a"), HttpFile("https://h/b", SHA[1:], "b")],
            r"files\[1\]\.sha256 \(b\) is not 64",
        ),
        ([HttpFile("https://h/a", SHA, "../a")], "must not be written"),
        ([HttpFile("https://h/a", SHA, "a"), HttpFile("https://h/b", SHA, "a")], "names a twice"),
    ],
)
async def test_a_wrong_list_of_files_is_refused_naming_the_entry(files, complaint):
    async with httpx2.AsyncClient() as client:
        with pytest.raises(FetchError, match=f"bad_source: .*{complaint}"):
            WebFiles(HttpSource(files), client)


async def test_signed_urls_are_no_part_of_a_models_identity():
    async with httpx2.AsyncClient() as client:
        one, other = (WebFiles(HttpSource([HttpFile(f"https://h/a?sig={sig}", SHA, "a")]), client) for sig in "xy")
        third = WebFiles(HttpSource([HttpFile("https://h/a", SHA[::-1], "a")]), client)
    assert one.identity == other.identity != third.identity


def test_a_models_identity_is_its_place_without_secrets():
    assert HubRepository(HubSource("a/b", "v1", endpoint="https://mirror"), "token").identity == "hf:a/b@v1"
    assert S3Prefix(S3Source("b", "/p/q")).identity == "s3://b/p/q/"
    assert (
        S3Prefix(S3Source("b", "p/q/", endpoint="https://s3.example")).identity == "s3://b/p/q/ at https://s3.example"
    )
    assert S3Prefix(S3Source("b")).identity == "s3://b/"


@pytest.mark.parametrize("url", ["", "host/path?s=key", "file:///key", "https://", "http://[key", "http://key:99999/"])
def test_what_is_no_web_address_is_refused_without_repeating_it(url):
    with pytest.raises(FetchError, match="bad_source: field is not an http") as caught:
        check_address(url, "field")
    assert "key" not in caught.value.sentence


@pytest.mark.parametrize("endpoint", ["https://user:key@h", "https://key@h", "https://h/?s=key", "https://h/#key"])
def test_an_endpoint_with_a_secret_in_it_is_refused_without_repeating_it(endpoint):
    for make in (
        lambda: HubRepository(HubSource("a/b", endpoint=endpoint), ""),
        lambda: S3Prefix(S3Source("b", endpoint=endpoint)),
    ):
        with pytest.raises(FetchError, match=r"bad_source: source\.endpoint holds a user") as caught:
            make()
        assert "key" not in caught.value.sentence


def test_addresses_and_requests_show_no_secrets():
    assert host_of("https://user:secret@h.example:8/p?sig=secret") == "h.example"
    assert "secret" not in repr(Request("https://h/?sig=secret", {"authorization": "secret"}))


@pytest.mark.parametrize("token", ["hf_abc def", "hf_abc\ndef", "hf_\u00e4"])
def test_a_token_that_cannot_be_sent_is_refused_without_repeating_it(token):
    with pytest.raises(FetchError) as caught:
        HubRepository(HUB, token)
    assert caught.value.code is FailureCode.TOKEN_REFUSED
    assert SECRET in caught.value.sentence
    assert "hf_" not in caught.value.sentence
