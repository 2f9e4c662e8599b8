"""Speculative decoding: tokens are guessed cheaply, and several guesses checked in one step of the model."""

from typing import Literal

from pydantic import Field

from tailrace_operator.resources.block import Block, Rule
from tailrace_operator.resources.source import Source


class Ngram(Block):
    """Guessing from what prompt and answer hold already: the last n tokens are looked up in them."""

    rules = (
        Rule(
            cel="self.min <= self.max",
            message="ngram.min must not exceed ngram.max: lower it or raise max",
            holds=lambda ngram: ngram.min <= ngram.max,
            field="min",
        ),
    )

    min: int = Field(default=2, ge=1, le=64, description="Fewest tokens that are looked up.")
    max: int = Field(default=4, ge=1, le=64, description="Most tokens that are looked up.")


def _has_what_it_needs(speculative: "Speculative") -> bool:
    return (speculative.method == "ngram") == (speculative.draft_model is None)


class Speculative(Block):
    """How tokens are guessed, and how many."""

    rules = (
        Rule(
            cel="(self.method == 'ngram') == !has(self.draftModel)",
            message="method draft, eagle or eagle3 needs draftModel, and method ngram has none: set it or leave it out",
            holds=_has_what_it_needs,
            field="draftModel",
        ),
        Rule(
            cel="self.method == 'ngram' || !has(self.ngram)",
            message="ngram is for method ngram: leave it out, or change the method",
            holds=lambda speculative: speculative.method == "ngram" or speculative.ngram is None,
            field="ngram",
        ),
    )

    method: Literal["ngram", "draft", "eagle", "eagle3"] = Field(
        description="ngram: from the text so far. draft: by a small model. eagle, eagle3: by a head made for the model."
    )
    tokens: int = Field(default=3, ge=1, le=64, description="Tokens guessed at a time.")
    draft_model: Source | None = Field(default=None, description="Weights of the small model or of the head.")
    ngram: Ngram | None = Field(default=None, description="What method ngram looks up.")
