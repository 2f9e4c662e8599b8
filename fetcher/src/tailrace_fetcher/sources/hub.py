"""A repository on the Hugging Face hub, or on a mirror that speaks its API.

huggingface_hub says which files there are, at which commit, with which checksums. The bytes themselves come by plain
range requests like those of the other sources: its own downloader checks sizes only, cannot be stopped within a file,
and holds as much memory as it likes.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoSibling
from tailrace_protocol.fetch import HubSource

from tailrace_fetcher.digest import Digest, of_etag
from tailrace_fetcher.failure import FailureCode, FetchError, TroubleError
from tailrace_fetcher.inventory import Inventory, RemoteFile, check_name
from tailrace_fetcher.network import NETWORK_ERRORS, meaning
from tailrace_fetcher.retry import asked_wait, passes
from tailrace_fetcher.selection import formats, has_weights, select
from tailrace_fetcher.sources.source import Request, check_endpoint, host_of

T = TypeVar("T")

_ANSWER_S = 15.0
_TOKEN_FIELD = "spec.model.source.hf.tokenSecret"  # noqa: S105 - the field's name
_TOKEN = re.compile(r"[\x21-\x7e]+")
_DISABLED = "Access to this resource is disabled."


class HubRepository:
    """One repository at one revision, asked with `token` (empty: without)."""

    def __init__(self, settings: HubSource, token: str) -> None:
        self._repo = settings.repo
        self._revision = settings.revision
        self._token = _check_token(token)
        self._endpoint = check_endpoint(settings.endpoint or constants.ENDPOINT, "source.endpoint")
        self._host = host_of(self._endpoint)
        self._commit = settings.revision

    @property
    def identity(self) -> str:
        """Mirrors hold the same content, so the endpoint does not count."""
        return f"hf:{self._repo}@{self._revision}"

    async def resolve(self) -> Inventory:
        """The files at the commit that the revision names now; all requests then ask for that commit."""
        commit, siblings = await self._ask(self._listing)
        self._commit = commit
        chosen = set(select(siblings))
        if not has_weights(chosen):
            raise FetchError(
                FailureCode.BAD_SOURCE,
                f"{self._repo} holds no weights that vLLM loads (safetensors or bin), only {formats(siblings)}: choose "
                "another repository or revision",
            )
        files = [await self._file(siblings[name]) for name in sorted(chosen)]
        return Inventory(self.identity, commit, tuple(files))

    async def request(self, file: RemoteFile) -> Request:
        """The file at the resolved commit; the hub's content network gets no token when it is redirected there."""
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        return Request(self._url(file.name), headers)

    def refusal(self, status: int, headers: Mapping[str, str], name: str) -> FetchError:
        """See `refusal` below."""
        return refusal(status, headers, HubSource(self._repo, self._revision), self._host, has_token=bool(self._token))

    def _url(self, name: str) -> str:
        return hf_hub_url(self._repo, name, revision=self._commit, endpoint=self._endpoint)

    def _listing(self) -> tuple[str, dict[str, RepoSibling]]:
        api = HfApi(endpoint=self._endpoint, token=self._token or False, library_name="tailrace")
        info = api.model_info(self._repo, revision=self._revision, files_metadata=True, timeout=_ANSWER_S)
        siblings = {check_name(sibling.rfilename): sibling for sibling in info.siblings or []}
        return info.sha or self._revision, siblings

    async def _file(self, sibling: RepoSibling) -> RemoteFile:
        name = sibling.rfilename
        if sibling.lfs is not None:
            return RemoteFile(name, sibling.lfs.size, Digest("sha256", sibling.lfs.sha256))
        if sibling.size is not None and sibling.blob_id:
            return RemoteFile(name, sibling.size, Digest("git-sha1", sibling.blob_id))
        return await self._ask(lambda: self._file_of_etag(name))

    def _file_of_etag(self, name: str) -> RemoteFile:
        """Some mirrors leave sizes and checksums out of the listing; each file's own answer has them."""
        found = get_hf_file_metadata(
            self._url(name), token=self._token or False, timeout=_ANSWER_S, endpoint=self._endpoint
        )
        digest = of_etag(found.etag or "")
        known = found.size is not None or digest.kind != "git-sha1"
        return RemoteFile(name, found.size, digest if known else Digest("none", digest.value))

    async def _ask(self, call: Callable[[], T]) -> T:
        """What the library's blocking `call` returns, its errors as ours."""
        try:
            return await asyncio.to_thread(call)
        except HfHubHTTPError as error:
            raise self._failure(error.response) from None
        except OfflineModeIsEnabled:
            raise FetchError(
                FailureCode.BAD_SETTINGS, "HF_HUB_OFFLINE is set for the fetcher: remove it from its environment"
            ) from None
        except NETWORK_ERRORS as error:
            raise meaning(error, self._host, f"the listing of {self._repo}") from None
        except (HFValidationError, ValueError, TypeError, KeyError):
            raise FetchError(
                FailureCode.BAD_SOURCE,
                f"{self._host} gives no listing of {self._repo!r} at {self._revision!r}: check spec.model.source.hf "
                "and that the endpoint speaks the hub's API",
            ) from None

    def _failure(self, response: httpx2.Response) -> FetchError | TroubleError:
        if passes(response.status_code):
            reason = f"{self._host} answers {response.status_code}"
            return TroubleError(reason, asked_wait(response.headers))
        return self.refusal(response.status_code, response.headers, "")


def _check_token(token: str) -> str:
    if token and not _TOKEN.fullmatch(token):
        raise FetchError(
            FailureCode.TOKEN_REFUSED,
            f"the token in the Secret that {_TOKEN_FIELD} names holds spaces, line breaks or other letters than a "
            "token has: store the bare token",
        )
    return token


def refusal(status: int, headers: Mapping[str, str], source: HubSource, host: str, *, has_token: bool) -> FetchError:
    """What the hub's answer means for whoever wrote the resource; pure."""
    repo, revision = source.repo, source.revision
    code = headers.get("x-error-code", "")
    if code == "GatedRepo":
        return FetchError(FailureCode.TOKEN_REFUSED, _gated(repo, host, has_token=has_token))
    if code == "RevisionNotFound":
        return FetchError(
            FailureCode.REVISION_NOT_FOUND,
            f"{repo} on {host} has no revision {revision!r}: set spec.model.source.hf.revision to a branch, tag or "
            "commit",
        )
    if headers.get("x-error-message") == _DISABLED:
        return FetchError(FailureCode.MODEL_NOT_FOUND, f"{host} has disabled access to {repo}: choose another model")
    if code == "RepoNotFound" or status in (404, 410):
        return FetchError(FailureCode.MODEL_NOT_FOUND, _absent(repo, host, has_token=has_token))
    if status in (401, 403):
        return FetchError(FailureCode.TOKEN_REFUSED, _refused(repo, host, status, has_token=has_token))
    return FetchError(FailureCode.BAD_SOURCE, f"{host} answers {status} for {repo}: check spec.model.source.hf")


def _gated(repo: str, host: str, *, has_token: bool) -> str:
    accept = f"{repo} is gated: accept its conditions on {host} with your account"
    if has_token:
        return f"{accept}, the one that the token in {_TOKEN_FIELD} belongs to"
    return f"{accept} and put a token of that account into a Secret that {_TOKEN_FIELD} names"


def _absent(repo: str, host: str, *, has_token: bool) -> str:
    where = f"{host} has no model {repo}, or does not show it: check spec.model.source.hf.repo"
    if has_token:
        return f"{where} and that the token in {_TOKEN_FIELD} may read it"
    return f"{where}; a private one needs a token in a Secret that {_TOKEN_FIELD} names"


def _refused(repo: str, host: str, status: int, *, has_token: bool) -> str:
    if has_token:
        return (
            f"{host} refuses the token for {repo} ({status}): put a valid one with read access into the Secret that "
            f"{_TOKEN_FIELD} names, and accept the conditions if the model is gated"
        )
    return (
        f"{host} does not give {repo} without a token ({status}): put one into a Secret that {_TOKEN_FIELD} names, and "
        "accept the conditions if the model is gated"
    )
