"""Where a model's weights come from."""

from pydantic import Field

from tailrace_operator.resources.block import Block, Rule


class HuggingFace(Block):
    """A model repository on the Hugging Face hub; vLLM downloads it."""

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


class Source(Block):
    """Exactly one of its fields is set."""

    rules = (
        Rule(
            cel="has(self.path) != has(self.hf)",
            message="set exactly one of path and hf",
            holds=lambda source: (source.path is None) != (source.hf is None),
        ),
        Rule(
            cel="!has(self.path) || !self.path.split('/').exists(part, part == '..')",
            message="path must not contain '..': name the directory itself",
            holds=lambda source: source.path is None or ".." not in source.path.split("/"),
            field="path",
        ),
    )

    path: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9/._-]+$",
        min_length=1,
        max_length=512,
        description="Directory with config.json, tokenizer and safetensors: absolute on the node, or below the model "
        "root (/models on the node, .tailrace/models in local mode).",
    )
    hf: HuggingFace | None = Field(default=None, description="A repository on the Hugging Face hub.")


class Model(Block):
    """The weights that are served."""

    source: Source = Field(description="Where the weights come from.")
