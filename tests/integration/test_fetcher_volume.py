"""What the fetcher finds on its volume: other models, damage, too little room."""

import asyncio
import subprocess

import pytest
from fetching import content, fetch, make_model, settings
from hub_mirror import HubMirror
from tailrace_fetcher.failure import FetchError
from tailrace_protocol.fetch import HubSource

WEIGHTS = 1_500_000


@pytest.fixture
def needed(tmp_path):
    return make_model(tmp_path / "repo", weights=WEIGHTS, shards=2)


@pytest.fixture
def mirror(tmp_path, needed):
    with HubMirror("org/m", {"main": tmp_path / "repo"}).running() as server:
        yield server


@pytest.fixture
def target(tmp_path):
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume" / "m"


@pytest.fixture
def given(target, mirror):
    return settings(target, HubSource("org/m", endpoint=mirror.url))


@pytest.fixture
def small_volume(tmp_path):
    """Makes file systems of a given size."""
    made = []

    def make(size):
        root = tmp_path / f"small{len(made)}"
        root.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(root)], capture_output=True
        )
        if mounted.returncode:
            pytest.skip("mounting a small tmpfs needs root")
        made.append(root)
        return root

    yield make
    for root in made:
        subprocess.run(["umount", str(root)], check=True)


async def test_what_is_at_the_target_already_is_never_overwritten(given, needed, target):
    target.mkdir()
    (target / "precious").write_text("mine")
    with pytest.raises(FetchError, match=r"target_occupied: .*holds files that no fetcher put there"):
        await fetch(given)
    assert (target / "precious").read_text() == "mine"


async def test_another_model_at_the_target_is_never_overwritten(given, mirror, needed, target):
    await fetch(given)
    mirror.revisions["v2"] = mirror.revisions["main"]
    with pytest.raises(FetchError, match=r"target_occupied: .*holds hf:org/m@main, not hf:org/m@v2"):
        await fetch(settings(target, HubSource("org/m", revision="v2", endpoint=mirror.url)))
    assert content(target) == needed


async def test_a_damaged_target_is_mended_with_what_is_missing(given, mirror, needed, target):
    await fetch(given)
    name = "model-00001-of-00002.safetensors"
    (target / name).write_bytes(b"cut off")
    mirror.asked.clear()
    await fetch(given)
    assert content(target) == needed
    assert [asked.sent for asked in mirror.of_files()] == [WEIGHTS]


async def test_a_model_that_does_not_fit_is_refused_before_a_byte_is_fetched(given, mirror, small_volume):
    with pytest.raises(
        FetchError, match=r"disk_full: .*still needs 2\.9 MiB \(3001047 bytes\), and .* are free.*cache\.size"
    ):
        await fetch(settings(small_volume(1_500_000) / "m", given.source))
    assert mirror.of_files() == []


async def test_a_volume_that_fills_up_meanwhile_ends_the_download(given, small_volume, monkeypatch):
    root = small_volume(4_000_000)
    monkeypatch.setattr(
        "tailrace_fetcher.volume.Volume.check_space", lambda *_: (root / "other").write_bytes(b"x" * 2_500_000)
    )
    with pytest.raises(FetchError, match=r"disk_full: .*writing failed"):
        await fetch(settings(root / "m", given.source))
    # Room is made: what is there is kept.
    monkeypatch.undo()
    (root / "other").unlink()
    assert (await fetch(settings(root / "m", given.source))).state == "done"


async def test_a_volume_that_cannot_be_written_is_named(given, small_volume):
    root = small_volume(4_000_000)
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(root)], check=True)
    with pytest.raises(FetchError, match=r"volume_failed: .*Read-only file system"):
        await fetch(settings(root / "m", given.source))


async def test_a_mount_point_is_no_target(given, small_volume):
    with pytest.raises(FetchError, match=r"bad_settings: .*is the mount point of a volume: name a directory below it"):
        await fetch(settings(small_volume(4_000_000), given.source))
