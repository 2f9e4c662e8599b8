"""Checksums as the hub, S3 and people write them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_fetcher.digest import Digest, Hasher, of_etag


def multipart_etag(data, part):
    """As S3 makes it."""
    pieces = [data[at : at + part] for at in range(0, len(data), part)]
    return f"{hashlib.md5(b''.join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()}-{len(pieces)}"


def agrees(digest, data, size=None):
    hasher = Hasher(digest, len(data) if size is None else size)
    for at in range(0, len(data), 7):
        hasher.update(data[at : at + 7])
    assert hasher.sha256 == hashlib.sha256(data).hexdigest()
    return hasher.agrees()


@given(data=st.binary(min_size=1, max_size=100), part=st.integers(1, 40))
def test_every_kind_of_checksum_accepts_its_content_and_no_other(data, part):
    digests = [
        Digest("sha256", hashlib.sha256(data).hexdigest()),
        Digest("git-sha1", hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()),
        Digest("md5", hashlib.md5(data).hexdigest()),
        Digest("md5-parts", multipart_etag(data, part), part),
    ]
    damaged = bytes([data[0] ^ 1]) + data[1:]
    assert [agrees(digest, data) for digest in digests] == [True] * 4
    assert [agrees(digest, damaged) for digest in digests] == [False] * 4


def test_git_knows_the_hash_of_an_empty_file():
    assert agrees(Digest("git-sha1", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"), b"")


def test_a_version_mark_accepts_any_content():
    assert agrees(Digest("none", "v1"), b"anything")


@pytest.mark.parametrize(
    ("etag", "digest"),
    [
        (f'"{"a" * 64}"', Digest("sha256", "a" * 64)),
        (f'W/"{"b" * 40}"', Digest("git-sha1", "b" * 40)),
        ('"v1"', Digest("none", "v1")),
        ("", Digest("none", "")),
    ],
)
def test_the_hubs_etags_are_checksums_where_they_look_like_it(etag, digest):
    assert of_etag(etag) == digest


def test_only_etags_may_mean_something_else():
    assert Digest("md5", "x").doubtful
    assert Digest("md5-parts", "x-2", 5).doubtful
    assert not Digest("sha256", "x").doubtful
