"""Where weights come from: read where they lie (a node's directory, a volume), or downloaded."""

from typing import Annotated

from pydantic import Field

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.keyed import KeyedBy

_DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_URL = r"^https?://[^\s/?#]+(/[^\s?#]*)?(\?[^\s#]*)?$"


class SecretKey(Block):
    """One value in a Secret of the model's namespace."""

    name: str = Field(pattern=_DNS_NAME, max_length=253, description="Name of the Secret.")
    key: str = Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253, description="Key of the value in it.")


class HuggingFace(Block):
    """A model repository on the Hugging Face hub."""

    repo: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
        max_length=200,
        description="Repository, as owner/name.",
    )
    revision: str = Field(
        default="main",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$",
        max_length=200,
        description="Branch, tag or commit; a commit makes every worker load the same weights.",
    )
    token_secret: SecretKey | None = Field(
        default=None, description="The hub's access token, for gated and private repositories."
    )
    endpoint: str | None = Field(
        default=None,
        pattern=_URL,
        max_length=512,
        description="Address of a mirror of the hub. Default: the hub itself.",
    )


class VolumeClaim(Block):
    """A volume that holds the weights already."""

    claim_name: str = Field(
        pattern=_DNS_NAME, max_length=253, description="PersistentVolumeClaim of the model's namespace."
    )
    path: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$",
        max_length=512,
        description="Directory on the volume, relative to its root, which is the default.",
    )


class S3(Block):
    """Objects of a bucket that speaks S3."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", max_length=63, description="Name of the bucket.")
    prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9!_.*'()/=+@-]*$",
        max_length=512,
        description="What the objects' keys begin with: the model's directory in the bucket.",
    )
    endpoint: str | None = Field(
        default=None, pattern=_URL, max_length=512, description="Address of the server. Default: AWS."
    )
    region: str | None = Field(
        default=None, pattern=r"^[a-z0-9-]+$", max_length=64, description="Region, where the server wants one."
    )
    credentials_secret: str | None = Field(
        default=None,
        pattern=_DNS_NAME,
        max_length=253,
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Default: the pod's own identity "
        "(pod.serviceAccountName), or none for a public bucket.",
    )


class HttpFile(Block):
    """One file at a URL."""

    url: str = Field(pattern=_URL, max_length=1024, description="Where the file lies.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", max_length=64, description="SHA-256 of its content, as 64 hexadecimal digits."
    )
    name: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        max_length=200,
        description="Its name in the model's directory (config.json, model.safetensors, …).",
    )


class Http(Block):
    """Files at URLs."""

    files: Annotated[list[HttpFile], KeyedBy("name")] = Field(
        min_length=1,
        max_length=256,
        description="All files that vLLM needs: configuration, tokenizer, weights.",
    )


def _count(source: "Source") -> int:
    return sum(part is not None for part in (source.path, source.hf, source.pvc, source.s3, source.http))


class Source(Block):
    """Exactly one of its fields is set."""

    rules = (
        Rule(
            cel="[has(self.path), has(self.hf), has(self.pvc), has(self.s3), has(self.http)].filter(x, x).size() == 1",
            message="set exactly one of path, hf, pvc, s3 and http",
            holds=lambda source: _count(source) == 1,
        ),
        Rule(
            cel="!has(self.path) || !self.path.split('/').exists(part, part == '..')",
            message="path must not contain '..': name the directory itself",
            holds=lambda source: source.path is None or ".." not in source.path.split("/"),
            field="path",
        ),
        Rule(
            cel="!has(self.pvc) || !self.pvc.path.split('/').exists(part, part == '..')",
            message="pvc.path must not contain '..': name the directory itself",
            holds=lambda source: source.pvc is None or ".." not in source.pvc.path.split("/"),
            field="pvc",
        ),
    )

    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9/._-]+$", min_length=1, max_length=512)] | None = Field(
        default=None,
        description="Directory with config.json, tokenizer and safetensors: absolute on the node, or below the model "
        "root (/models on the node, .tailrace/models in local mode). Workers mount it by hostPath, which namespaces "
        "that enforce Pod Security baseline or restricted refuse: take another source there.",
    )
    hf: HuggingFace | None = Field(default=None, description="A repository on the Hugging Face hub.")
    pvc: VolumeClaim | None = Field(default=None, description="A volume that holds the weights already.")
    s3: S3 | None = Field(default=None, description="Objects of a bucket that speaks S3.")
    http: Http | None = Field(default=None, description="Files at URLs, each with its checksum.")

    @property
    def is_downloaded(self) -> bool:
        """Whether the weights must be fetched before a worker can read them."""
        return self.path is None and self.pvc is None
