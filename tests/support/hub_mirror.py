"""A Hugging Face hub in small: its API and its redirects, served from a directory over loopback.

Large files are "LFS": their bytes lie on a content network, here the same server under another host name, which must
never see the token.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from file_server import FileServer, Page

LFS = (".safetensors", ".bin")
#: The signature in the content network's addresses: it must not be logged.
SIGNATURE = "Signature=c0ffee-secret-signature"


@cache
def _sha256(file: Path, _modified: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sha256(file: Path) -> str:
    return _sha256(file, file.stat().st_mtime_ns)


def git_sha1(file: Path) -> str:
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass
class Access:
    """Who may read the repository: with `token` set, its bearer; `gated` adds conditions that must be accepted."""

    token: str = ""
    gated: bool = False
    accepted: bool = True


class HubMirror(FileServer):
    """Serves each of `revisions` (name → directory) of one repository."""

    def __init__(self, repo: str, revisions: dict[str, Path], host: str = "127.0.0.1") -> None:
        super().__init__(next(iter(revisions.values())), host=host)
        self.repo = repo
        self.revisions = revisions
        self.access = Access()
        self.tells_blobs = True

    def commit(self, revision: str) -> str:
        listed = "".join(f"{name} {sha256(file)}" for name, file in sorted(self.files(revision).items()))
        return hashlib.sha1(listed.encode(), usedforsecurity=False).hexdigest()

    def files(self, revision: str) -> dict[str, Path]:
        root = self.revisions[revision]
        return {str(file.relative_to(root)): file for file in sorted(root.rglob("*")) if file.is_file()}

    def page(self, path: str, query: dict[str, list[str]], authorization: str) -> Page:
        if path.startswith("/cdn/"):
            return self._stored(path.removeprefix("/cdn/"), query, authorization)
        if path.startswith(f"/api/models/{self.repo}/revision/"):
            return self._refused(authorization, of_files=False) or self._listing(path.rpartition("/")[2], query)
        if path.startswith(f"/{self.repo}/resolve/"):
            return self._refused(authorization, of_files=True) or self._resolved(path)
        return Page(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})

    def _refused(self, authorization: str, *, of_files: bool) -> Page | None:
        access = self.access
        if authorization and authorization != f"Bearer {access.token}":
            return Page(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        if access.gated and of_files and not (authorization and access.accepted):
            return Page(403 if authorization else 401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        if access.token and not access.gated and not authorization:
            return Page(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        return None

    def _listing(self, revision: str, query: dict[str, list[str]]) -> Page:
        if revision not in self.revisions:
            return Page(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        blobs = self.tells_blobs and "blobs" in query
        siblings = [self._sibling(name, file, blobs=blobs) for name, file in self.files(revision).items()]
        body = {"id": self.repo, "sha": self.commit(revision), "private": False, "siblings": siblings}
        return Page(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _sibling(self, name: str, file: Path, *, blobs: bool) -> dict[str, object]:
        if not blobs:
            return {"rfilename": name}
        size = file.stat().st_size
        if not name.endswith(LFS):
            return {"rfilename": name, "size": size, "blobId": git_sha1(file)}
        lfs = {"sha256": sha256(file), "size": size, "pointerSize": 134}
        return {"rfilename": name, "size": size, "blobId": "0" * 40, "lfs": lfs}

    def _resolved(self, path: str) -> Page:
        commit, _, name = path.removeprefix(f"/{self.repo}/resolve/").partition("/")
        revision = next((known for known in self.revisions if commit in (known, self.commit(known))), None)
        if revision is None or name not in (files := self.files(revision)):
            return Page(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        file = files[name]
        headers = {"X-Repo-Commit": self.commit(revision)}
        if not name.endswith(LFS):
            return Page(200, {**headers, "ETag": f'"{git_sha1(file)}"'}, file=file)
        other = "localhost" if self.host == "127.0.0.1" else self.host
        stored = f"http://{other}:{self.port}/cdn/{revision}/{name}?{SIGNATURE}"
        linked = {"X-Linked-Etag": f'"{sha256(file)}"', "X-Linked-Size": str(file.stat().st_size)}
        return Page(302, {**headers, **linked, "Location": stored})

    def _stored(self, path: str, query: dict[str, list[str]], authorization: str) -> Page:
        revision, _, name = path.partition("/")
        if authorization or "Signature" not in query:
            return Page(400, {"X-Error-Message": "the content network takes signatures, not tokens"})
        return Page(200, file=self.files(revision)[name])
