"""Get the pinned uv into `.tools/`, with nothing but a bare Python.

Debian's python3 may come without pip, venv and ensurepip, so the wheel is fetched from the package index and unpacked
here. Its checksum is pinned below: what runs is what was reviewed, whichever index it came from. An index of your own
is taken from UV_DEFAULT_INDEX, UV_INDEX_URL or PIP_INDEX_URL; certificates from SSL_CERT_FILE.
"""

import hashlib
import io
import json
import os
import platform
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

VERSION = "0.13.9"
#: (system, machine) → (wheel's platform tag, SHA-256 of the wheel).
WHEELS = {
    ("Linux", "x86_64"): (
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    ("Linux", "aarch64"): (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
    ("Darwin", "x86_64"): (
        "macosx_10_12_x86_64",
        "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
    ),
    ("Darwin", "arm64"): (
        "macosx_11_0_arm64",
        "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
    ),
}
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


class BootstrapError(Exception):
    """uv could not be had; the message says why and what to do."""


def wheel_for(system: str, machine: str) -> tuple[str, str]:
    """The wheel's file name and checksum for a platform."""
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "Linux" else "arm64"}.get(machine.lower(), machine)
    if (system, machine) not in WHEELS:
        known = ", ".join(f"{s} {m}" for s, m in WHEELS)
        raise BootstrapError(
            f"no pinned uv for {system} {machine} (only {known}): install uv {VERSION} yourself, then `make UV=uv up`"
        )
    tag, checksum = WHEELS[system, machine]
    return f"uv-{VERSION}-py3-none-{tag}.whl", checksum


def index_url() -> str:
    """The index in use, with credentials as the user wrote them."""
    chosen = next((os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)), "https://pypi.org/simple")
    return chosen.rstrip("/")


def wheel_url(page: bytes, page_url: str, wheel: str) -> str:
    """Where the index's page of uv (JSON or HTML) says that the wheel lies."""
    try:
        links = [file["url"] for file in json.loads(page)["files"]]
    except (ValueError, KeyError):
        links = re.findall(r'href="([^"#]+)', page.decode(errors="replace"))
    for link in links:
        if urllib.parse.unquote(link).rsplit("/", 1)[-1] == wheel:
            return urllib.parse.urljoin(page_url, link)
    raise BootstrapError(f"{page_url} does not list {wheel}: choose another index with UV_DEFAULT_INDEX")


def fetch(url: str, accept: str = "*/*", label: str = "") -> bytes:
    """The bytes at `url`; progress is shown for what has a label."""
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "tailrace-bootstrap"})
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or None)
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as response:
            return read_all(response, label)
    except (urllib.error.URLError, OSError) as error:
        place = urllib.parse.urlsplit(url).hostname
        raise BootstrapError(
            f"cannot reach {place} ({error}): check the network, UV_DEFAULT_INDEX and SSL_CERT_FILE"
        ) from None


def read_all(response, label):  # noqa: ANN001, ANN201 - http.client's type depends on the URL's scheme
    """The response's body, telling how much of it is there."""
    total = int(response.headers.get("Content-Length") or 0)
    chunks, done, told = [], 0, -1
    while chunk := response.read(1 << 18):
        chunks.append(chunk)
        done += len(chunk)
        percent = done * 100 // total if total else 0
        if label and total and percent // 10 != told:
            told = percent // 10
            print(f"\r{label}: {percent} % of {total / 1e6:.0f} MB", end="", file=sys.stderr, flush=True)
    if label and total:
        print(file=sys.stderr)
    return b"".join(chunks)


def unpack(wheel: bytes, checksum: str, tools: Path) -> None:
    """Put uv's programs into `tools`, whole or not at all."""
    found = hashlib.sha256(wheel).hexdigest()
    if found != checksum:
        raise BootstrapError(f"the downloaded uv has checksum {found}, not the pinned {checksum}: it was not installed")
    tools.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for program in ("uv", "uvx"):
            draft = tools / f"{program}.new"
            draft.write_bytes(archive.read(f"uv-{VERSION}.data/scripts/{program}"))
            draft.chmod(0o755)
            draft.replace(tools / program)
    (tools / "uv.version").write_text(VERSION)


def main() -> int:
    """Install uv unless it is there."""
    if sys.version_info < (3, 11):  # noqa: UP036 - run by whatever Python the machine has
        print(f"error: Python 3.11 or newer is needed, this is {platform.python_version()}: make PYTHON=python3.12 …")
        return 2
    tools = Path(__file__).resolve().parent.parent / ".tools"
    stamp = tools / "uv.version"
    if stamp.exists() and stamp.read_text() == VERSION and (tools / "uv").exists():
        return 0
    try:
        wheel, checksum = wheel_for(platform.system(), platform.machine())
        page_url = f"{index_url()}/uv/"
        url = wheel_url(fetch(page_url, f"{JSON_TYPE}, text/html;q=0.5"), page_url, wheel)
        unpack(fetch(url, label=f"uv {VERSION}"), checksum, tools)
    except BootstrapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
