"""How all resources begin: group and version, the part of the metadata that is read, and the rule for names.

A name becomes part of broker subjects, labels and children's names, so it is a DNS label, bounded.
"""

import re

from pydantic import ConfigDict, Field

from tailrace_operator.resources.block import Block, Rule

GROUP = "tailrace.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
MAX_NAME = 40
#: A DNS label, without the bound on its length.
LABEL_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class Metadata(Block):
    """The part of Kubernetes' object metadata that Tailrace reads; the rest is left alone."""

    model_config = ConfigDict(extra="allow")

    name: str
    namespace: str = "default"
    uid: str | None = None
    creation_timestamp: str | None = None
    generation: int = 0
    annotations: dict[str, str] = Field(default={})


def is_label(name: str) -> bool:
    """Whether `name` can be the name of a resource."""
    return len(name) <= MAX_NAME and re.fullmatch(LABEL_PATTERN.strip("^$"), name) is not None


NAME_RULE = Rule(
    cel=f"self.metadata.name.size() <= {MAX_NAME} && self.metadata.name.matches('{LABEL_PATTERN}')",
    message=f"metadata.name must be a DNS label (a-z, 0-9 and '-') of at most {MAX_NAME} characters: "
    "choose such a name",
    holds=lambda resource: is_label(resource.metadata.name),
    place="metadata.name",
)
