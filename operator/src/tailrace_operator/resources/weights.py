"""The weights that are served, and where downloaded ones are kept."""

from typing import Annotated, Literal

from pydantic import Field

from tailrace_operator.resources.block import Block, Immutable, Rule, Transition
from tailrace_operator.resources.quantity import Quantity, QuantityRange
from tailrace_operator.resources.source import Source

_ANEW = "cannot be changed: set keep to false, and delete and create the StreamingModel anew"


class Cache(Block):
    """A volume that all workers share, filled once before the first one starts."""

    transitions = (
        Transition(
            cel="quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",
            message="cache.size can grow but not shrink, as Kubernetes' volumes: keep the former size, or set keep to "
            "false, and delete and create the StreamingModel anew",
            field="size",
        ),
        Transition(
            cel="has(self.storageClassName) == has(oldSelf.storageClassName)",
            message=f"cache.storageClassName {_ANEW}",
            field="storageClassName",
        ),
    )

    size: Annotated[Quantity, QuantityRange("1Mi", "1Pi")] = Field(
        description="Size of the volume. What is downloaded must fit, twice while a changed source replaces it."
    )
    storage_class_name: (
        Annotated[
            str,
            Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253),
            Immutable(f"cache.storageClassName {_ANEW}"),
        ]
        | None
    ) = Field(default=None, description="StorageClass of the volume. Default: the cluster's. Cannot be changed.")
    access_mode: Annotated[Literal["ReadWriteMany", "ReadWriteOnce"], Immutable(f"cache.accessMode {_ANEW}")] = Field(
        default="ReadWriteMany",
        description="ReadWriteMany: workers on all nodes. ReadWriteOnce: all of them on one node. Cannot be changed.",
    )
    keep: bool = Field(default=False, description="Keep the volume when the StreamingModel is deleted.")


class Model(Block):
    """The weights that are served."""

    rules = (
        Rule(
            cel="!has(self.cache) || !(has(self.source.path) || has(self.source.pvc))",
            message="cache is for sources that are downloaded (hf, s3, http); path and pvc are read where they lie: "
            "leave cache out",
            holds=lambda model: model.cache is None or model.source.is_downloaded,
            field="cache",
        ),
        Rule(
            cel="!has(self.cache) || !has(self.sizeLimit)",
            message="sizeLimit is for downloads without cache: set cache.size instead",
            holds=lambda model: model.cache is None or model.size_limit is None,
            field="sizeLimit",
        ),
    )

    source: Source = Field(description="Where the weights come from.")
    cache: Cache | None = Field(
        default=None,
        description="A volume for downloaded weights, shared by all workers. Without it each worker downloads them "
        "onto its node's disk when it starts.",
    )
    size_limit: Annotated[Quantity, QuantityRange("1Mi", "64Ti")] | None = Field(
        default=None,
        description="Most space that a download without cache takes on the node's disk; other nodes are passed over.",
    )
