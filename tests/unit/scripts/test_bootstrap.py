"""The bootstrap script: which wheel, from which index, checked before it is used."""

import hashlib
import importlib.util
import io
import json
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "bootstrap.py"


@pytest.fixture(scope="module")
def bootstrap():
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("system", "machine", "part"),
    [
        ("Linux", "x86_64", "manylinux2014_x86_64"),
        ("Linux", "AMD64", "manylinux2014_x86_64"),
        ("Linux", "arm64", "manylinux2014_aarch64"),
        ("Linux", "aarch64", "manylinux2014_aarch64"),
        ("Darwin", "arm64", "macosx_11_0_arm64"),
    ],
)
def test_each_platform_has_a_pinned_wheel(bootstrap, system, machine, part):
    wheel, checksum = bootstrap.wheel_for(system, machine)

    assert part in wheel
    assert len(checksum) == 64


def test_an_unknown_platform_is_told_what_to_do(bootstrap):
    with pytest.raises(bootstrap.BootstrapError, match=r"install uv .* yourself"):
        bootstrap.wheel_for("Plan9", "mips")


@pytest.mark.parametrize(
    "page",
    [
        json.dumps({"files": [{"url": "../../packages/a/uv-1.whl"}]}).encode(),
        b'<a href="../../packages/a/uv-1.whl#sha256=00">uv-1.whl</a>',
    ],
)
def test_the_wheel_is_found_on_pages_of_both_kinds(bootstrap, page):
    url = bootstrap.wheel_url(page, "https://index.example/simple/uv/", "uv-1.whl")

    assert url == "https://index.example/packages/a/uv-1.whl"
    with pytest.raises(bootstrap.BootstrapError, match="does not list"):
        bootstrap.wheel_url(page, "https://index.example/simple/uv/", "uv-2.whl")


def test_the_users_index_is_taken(bootstrap, monkeypatch):
    for name in bootstrap.INDEX_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert bootstrap.index_url() == "https://pypi.org/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple/")
    assert bootstrap.index_url() == "https://index.example/simple"


def test_only_the_pinned_wheel_is_unpacked(bootstrap, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for program in ("uv", "uvx"):
            archive.writestr(f"uv-{bootstrap.VERSION}.data/scripts/{program}", b"program")
    wheel = buffer.getvalue()

    with pytest.raises(bootstrap.BootstrapError, match="not the pinned"):
        bootstrap.unpack(wheel, "0" * 64, tmp_path)
    assert not (tmp_path / "uv").exists()
    bootstrap.unpack(wheel, hashlib.sha256(wheel).hexdigest(), tmp_path)
    assert (tmp_path / "uv").stat().st_mode & 0o111
