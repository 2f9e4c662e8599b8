"""The target's way from nothing to whole."""

import hashlib

import pytest
from tailrace_fetcher.digest import Digest
from tailrace_fetcher.failure import FailureCode, FetchError
from tailrace_fetcher.inventory import Inventory, RemoteFile, check_name
from tailrace_fetcher.manifest import JOURNAL
from tailrace_fetcher.part import PartFile, part_name
from tailrace_fetcher.sizes import size_text
from tailrace_fetcher.volume import Standing, Volume, volume_errors

FILES = {"config.json": b"{}", "sub/model.safetensors": b"weights" * 100}


def remote(name, data):
    return RemoteFile(name, len(data), Digest("sha256", hashlib.sha256(data).hexdigest()))


def inventory(files=FILES, source="hf:a/b@main"):
    return Inventory(source, "c0ffee", tuple(remote(name, data) for name, data in files.items()))


def put(volume, file, data):
    with volume.part(file) as part:
        part.append(data)
        volume.keep(part)


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path / "cache" / "m")


@pytest.fixture
def whole(volume):
    for file in volume.open(inventory()):
        put(volume, file, FILES[file.name])
    volume.finish()
    return volume


def test_a_target_appears_only_when_it_is_finished(volume):
    for file in volume.open(inventory()):
        put(volume, file, FILES[file.name])
        assert volume.standing("hf:a/b@main") is Standing.NOTHING
    volume.finish()
    assert volume.standing("hf:a/b@main") is Standing.WHOLE
    assert {name: (volume.target / name).read_bytes() for name in FILES} == FILES
    assert not volume.partial.exists()


def test_a_target_of_another_source_is_told_apart(whole):
    assert whole.standing("hf:a/b@v2") is Standing.OTHER


def test_files_that_no_fetcher_put_there_are_told_apart(volume):
    volume.target.mkdir(parents=True)
    assert volume.standing("x") is Standing.NOTHING
    (volume.target / "precious").touch()
    assert volume.standing("x") is Standing.OTHER


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: file.write_bytes(b"short")])
def test_a_damaged_target_becomes_a_download_of_what_is_missing(whole, harm):
    harm(whole.target / "sub/model.safetensors")
    assert whole.standing("hf:a/b@main") is Standing.DAMAGED
    whole.take_back()
    assert [file.name for file in whole.open(inventory())] == ["sub/model.safetensors"]


def test_verified_files_are_not_fetched_again_after_a_crash(volume):
    first, second = volume.open(inventory())
    put(volume, first, FILES[first.name])
    assert Volume(volume.target).open(inventory()) == [second]


def test_a_file_that_changed_at_the_source_is_fetched_again(volume):
    for file in volume.open(inventory()):
        put(volume, file, FILES[file.name])
    changed = {**FILES, "config.json": b"[]"}
    assert [file.name for file in Volume(volume.target).open(inventory(changed))] == ["config.json"]


def test_a_verified_file_that_is_damaged_meanwhile_is_fetched_again(volume):
    first, _ = volume.open(inventory())
    put(volume, first, FILES[first.name])
    (volume.partial / first.name).write_bytes(b"")
    assert first in Volume(volume.target).open(inventory())


def test_what_an_older_revision_left_behind_is_not_part_of_the_model(volume):
    gone = {"old/file.json": b"old"}
    for file in volume.open(inventory({**FILES, **gone})):
        put(volume, file, {**FILES, **gone}[file.name])
    again = Volume(volume.target)
    assert again.open(inventory()) == []
    again.finish()
    assert sorted(str(path.relative_to(again.target)) for path in again.target.rglob("*")) == [
        ".tailrace-complete.json",
        "config.json",
        "sub",
        "sub/model.safetensors",
    ]


def test_parts_of_files_that_changed_give_their_room_back(volume):
    old = remote("config.json", b"old content")
    volume.open(Inventory("s", "1", (old,)))
    with volume.part(old) as part:
        part.append(b"old")
    assert volume.bytes_present(old) == 3
    volume.open(inventory())
    assert volume.bytes_present(old) == 0


def test_a_file_that_shrinks_before_the_end_keeps_the_target_from_appearing(volume):
    for file in volume.open(inventory()):
        put(volume, file, FILES[file.name])
    (volume.partial / "config.json").write_bytes(b"")
    with pytest.raises(FetchError, match=r"checksum_mismatch: config\.json"):
        volume.finish()
    assert not volume.target.exists()


def test_a_crash_right_before_the_target_appears_costs_no_byte(volume, monkeypatch):
    for file in volume.open(inventory()):
        put(volume, file, FILES[file.name])
    with monkeypatch.context() as crashing:
        crashing.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(OSError("crash")))
        with pytest.raises(OSError, match="crash"):
            volume.finish()
    again = Volume(volume.target)
    assert again.open(inventory()) == []
    again.finish()
    assert again.standing("hf:a/b@main") is Standing.WHOLE


def test_a_journal_that_was_cut_off_is_as_none(volume):
    first, _ = volume.open(inventory())
    put(volume, first, FILES[first.name])
    (volume.partial / JOURNAL).write_bytes(b'{"source"')
    assert len(Volume(volume.target).open(inventory())) == 2


def test_space_is_asked_for_what_is_missing_and_no_more(volume, monkeypatch):
    files = volume.open(inventory())
    with volume.part(files[1]) as part:
        part.append(b"x" * 300)
    monkeypatch.setattr(Volume, "_free_bytes", lambda _: 402)
    volume.check_space(files)  # 2 + 700 - 300
    monkeypatch.setattr(Volume, "_free_bytes", lambda _: 401)
    with pytest.raises(FetchError, match=r"disk_full.*still needs 402 bytes, and 401 bytes are free.*cache\.size"):
        volume.check_space(files)


def test_a_part_is_continued_with_the_checksum_of_all_its_bytes(tmp_path):
    file = remote("a", b"0123456789")
    with PartFile(tmp_path / "p", file) as part:
        part.append(b"01234")
    with PartFile(tmp_path / "p", file) as part:
        assert part.recall(3)
        assert not part.recall(3)
        part.append(b"56789")
        assert part.agrees()


def test_a_part_that_is_too_long_or_of_unknown_size_is_begun_anew(tmp_path):
    for size in (3, None):
        (tmp_path / "p").write_bytes(b"0123456789")
        with PartFile(tmp_path / "p", RemoteFile("a", size, Digest("none", ""))) as part:
            assert not part.recall(100)
            assert part.offset == 0


def test_another_content_of_the_same_name_has_another_part():
    assert part_name(remote("a", b"1")) != part_name(remote("a", b"2"))
    assert part_name(remote("a", b"1")) != part_name(remote("b", b"1"))
    assert part_name(remote("a", b"1")) == part_name(remote("a", b"1"))


@pytest.mark.parametrize("name", ["a", "a/b.json", "Ünï/ø.json", "x" * 255, ".hidden", "..."])
def test_names_inside_the_directory_are_accepted(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../a",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "a\nb",
        "a\0b",
        "x" * 256,
        ".tailrace-complete.json",
    ],
)
def test_names_that_leave_the_directory_or_take_our_own_are_refused(name):
    with pytest.raises(FetchError, match="bad_source"):
        check_name(name)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (28, FailureCode.DISK_FULL),
        (122, FailureCode.DISK_FULL),
        (30, FailureCode.VOLUME_FAILED),
        (13, FailureCode.VOLUME_FAILED),
    ],
)
def test_file_system_errors_become_failures_with_a_remedy(number, code, tmp_path):
    with pytest.raises(FetchError) as caught, volume_errors(tmp_path):
        raise OSError(number, "strerror")
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB (1024 bytes)"),
        (5 * 2**40, "5.0 TiB (5497558138880 bytes)"),
    ],
)
def test_sizes_are_readable_and_exact(count, text):
    assert size_text(count) == text
