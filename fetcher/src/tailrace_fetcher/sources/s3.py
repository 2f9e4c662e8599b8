"""Objects below a prefix of an S3 bucket, on AWS or any store that speaks its API.

botocore lists them and signs the requests; the bytes come by presigned range requests like those of the other sources.
Its own retries are off: `retry` knows when progress was made.
"""

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from tailrace_protocol.fetch import S3Source

from tailrace_fetcher.digest import Digest
from tailrace_fetcher.failure import FailureCode, FetchError, TroubleError
from tailrace_fetcher.inventory import Inventory, RemoteFile, check_name
from tailrace_fetcher.network import untrusted
from tailrace_fetcher.retry import asked_wait, passes
from tailrace_fetcher.selection import formats, has_weights, select
from tailrace_fetcher.sources.source import Request, check_endpoint

T = TypeVar("T")

_MOST_OBJECTS = 10_000
_SIGNED_S = 3600
_SECRET_FIELD = "spec.model.source.s3.credentialsSecret"  # noqa: S105 - the field's name
_REFUSALS = (
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "401",
    "403",
)
_ABSENCES = ("NoSuchBucket", "NoSuchKey", "404")
_REMOVALS = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307")


class S3Prefix:
    """The objects of one bucket below one prefix."""

    def __init__(self, settings: S3Source) -> None:
        self._settings = settings
        self._prefix = f"{stripped}/" if (stripped := settings.prefix.strip("/")) else ""
        if settings.endpoint:
            check_endpoint(settings.endpoint, "source.endpoint")
        self._place = f"s3://{settings.bucket}/{self._prefix}"
        self._etags: dict[str, str] = {}
        self._made: Any = None

    @property
    def identity(self) -> str:
        """Buckets of the same name at other endpoints are others."""
        return f"{self._place} at {self._settings.endpoint}" if self._settings.endpoint else self._place

    async def resolve(self) -> Inventory:
        """The objects that vLLM needs, with the best checksum that the store has of each."""
        sizes = await self._ask(self._listing)
        chosen = select(sizes)
        if not has_weights(chosen):
            raise FetchError(
                FailureCode.BAD_SOURCE,
                f"{self._place} holds no weights that vLLM loads (safetensors or bin), only {formats(sizes)}: check "
                "spec.model.source.s3.prefix",
            )
        files = [await self._ask(partial(self._file, name)) for name in chosen]
        listed = "".join(f"{file.name} {file.size} {file.digest}\n" for file in files)
        return Inventory(self.identity, hashlib.sha256(listed.encode()).hexdigest(), tuple(files))

    async def request(self, file: RemoteFile) -> Request:
        """A freshly signed address, good for the object that was listed and no newer one."""
        etag = self._etags.get(file.name, "")
        return Request(await self._ask(lambda: self._signed(file.name)), {"if-match": etag} if etag else {})

    def refusal(self, status: int, headers: Mapping[str, str], name: str) -> FetchError:
        """What the store's answer to a signed request means for whoever wrote the resource."""
        if status == 412:
            return FetchError(
                FailureCode.CHECKSUM_MISMATCH,
                f"{self._place}{name} was replaced while the model was fetched: wait until all of it is uploaded",
            )
        region = headers.get("x-amz-bucket-region", "")
        code = "PermanentRedirect" if region not in ("", self._settings.region) and status in (301, 307, 400) else ""
        return refusal(code or str(status), status, f"{self._place}{name}", region)

    @property
    def _client(self) -> Any:
        """Made in the thread that asks first: finding credentials may take seconds."""
        if self._made is None:
            self._made = _make_client(self._settings)
        return self._made

    def _listing(self) -> dict[str, int]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._settings.bucket, Prefix=self._prefix
        )
        sizes: dict[str, int] = {}
        for page in pages:
            found = {entry["Key"].removeprefix(self._prefix): entry["Size"] for entry in page.get("Contents", [])}
            sizes |= {check_name(name): size for name, size in found.items() if name and not name.endswith("/")}
            if len(sizes) > _MOST_OBJECTS:
                raise FetchError(
                    FailureCode.BAD_SOURCE,
                    f"more than {_MOST_OBJECTS} objects lie below {self._place}: set spec.model.source.s3.prefix to "
                    "one model",
                )
        if not sizes:
            raise FetchError(
                FailureCode.MODEL_NOT_FOUND,
                f"nothing lies below {self._place}: check bucket and prefix in spec.model.source.s3",
            )
        return sizes

    def _file(self, name: str) -> RemoteFile:
        key = {"Bucket": self._settings.bucket, "Key": f"{self._prefix}{name}"}
        head = self._client.head_object(**key, ChecksumMode="ENABLED")
        self._etags[name] = str(head.get("ETag", ""))
        digest = digest_of(head, self._settings.bucket)
        if digest.kind == "md5-parts":
            first = self._client.head_object(**key, PartNumber=1)["ContentLength"]
            digest = with_parts(digest, first, head["ContentLength"])
        return RemoteFile(name, head["ContentLength"], digest)

    def _signed(self, name: str) -> str:
        key = {"Bucket": self._settings.bucket, "Key": f"{self._prefix}{name}"}
        return str(self._client.generate_presigned_url("get_object", Params=key, ExpiresIn=_SIGNED_S))

    async def _ask(self, call: Callable[[], T]) -> T:
        """What botocore's blocking `call` returns, its errors as ours."""
        try:
            return await asyncio.to_thread(call)
        except ClientError as error:
            raise self._failure(error.response) from None
        except SSLError:
            raise untrusted(f"the store of {self._place}") from None
        except (BotoConnectionError, HTTPClientError) as error:
            raise TroubleError(f"the store of {self._place} does not answer ({type(error).__name__})") from None
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
            raise FetchError(
                FailureCode.TOKEN_REFUSED,
                f"no usable credentials for {self._place} ({type(error).__name__}): put AWS_ACCESS_KEY_ID and "
                f"AWS_SECRET_ACCESS_KEY into the Secret that {_SECRET_FIELD} names",
            ) from None
        except (BotoCoreError, ValueError) as error:
            raise FetchError(
                FailureCode.BAD_SOURCE,
                f"{self._place} cannot be asked ({type(error).__name__}): check bucket, endpoint and region in "
                "spec.model.source.s3",
            ) from None

    def _failure(self, response: Any) -> FetchError | TroubleError:
        about = response.get("ResponseMetadata", {})
        status, headers = int(about.get("HTTPStatusCode", 0)), about.get("HTTPHeaders", {})
        code = str(response.get("Error", {}).get("Code", ""))
        if passes(status) or code == "SlowDown":
            return TroubleError(f"the store of {self._place} answers {status} {code}", asked_wait(headers))
        return refusal(code, status, self._place, headers.get("x-amz-bucket-region", ""))


def refusal(code: str, status: int, place: str, region: str) -> FetchError:
    """What the store's error means for whoever wrote the resource; pure."""
    if code in _ABSENCES:
        return FetchError(
            FailureCode.MODEL_NOT_FOUND,
            f"{place} does not exist ({code}): check bucket and prefix in spec.model.source.s3",
        )
    if code in _REMOVALS:
        where = f"in the region {region}" if region else "in another region"
        return FetchError(
            FailureCode.BAD_SOURCE, f"the bucket of {place} lies {where}: set spec.model.source.s3.region to it"
        )
    if code in _REFUSALS or status in (401, 403):
        return FetchError(
            FailureCode.TOKEN_REFUSED,
            f"the store refuses {place} ({code or status}): check the keys in the Secret that {_SECRET_FIELD} names, "
            "and that they may list the bucket and get its objects",
        )
    return FetchError(
        FailureCode.BAD_SOURCE, f"the store answers {status} {code} for {place}: check spec.model.source.s3"
    )


def digest_of(head: Mapping[str, Any], bucket: str) -> Digest:
    """The best checksum in an object's metadata; pure.

    An ETag is no MD5 where the store encrypts with keys of its own, nor in AWS's directory buckets.
    """
    if (
        (sha256 := head.get("ChecksumSHA256", ""))
        and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        and "-" not in sha256
    ):
        return Digest("sha256", base64.b64decode(sha256).hex())
    etag = str(head.get("ETag", "")).strip('"').lower()
    encrypted = head.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in head
    md5, _, parts = etag.partition("-")
    if encrypted or bucket.endswith("--x-s3") or len(md5) != 32 or not (parts or "0").isdecimal():
        return Digest("none", etag)
    return Digest("md5-parts" if parts else "md5", etag)


def with_parts(digest: Digest, first_bytes: int, size: int) -> Digest:
    """An ETag of parts, checkable where parts of the first one's size make up the object; pure."""
    parts = int(digest.value.partition("-")[2])
    fits = first_bytes > 0 and -(-size // first_bytes) == parts
    return Digest("md5-parts", digest.value, first_bytes) if fits else Digest("none", digest.value)


def _make_client(settings: S3Source) -> Any:
    session = botocore.session.Session()
    signed = session.get_credentials() is not None
    config = Config(
        signature_version="s3v4" if signed else UNSIGNED,
        connect_timeout=10,
        read_timeout=30,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if settings.endpoint else "virtual"},
    )
    region = settings.region or session.get_config_variable("region") or "us-east-1"
    return session.create_client(
        "s3",
        region_name=region,
        endpoint_url=settings.endpoint or None,
        verify=os.environ.get("SSL_CERT_FILE") or None,
        config=config,
    )
