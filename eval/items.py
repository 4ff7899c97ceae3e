"""Items: what evaluation asks, in a fixed choice, so that versions can be compared in pairs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asd_rewriter.cards import Metric, TaskCard
from asd_rewriter.formats import AnswerFormat, with_instruction
from asd_rewriter.samples import Sample, Turn

MAX_CHOICES = 256
MAX_CHOICE_LENGTH = 60
"""In characters: a longer text might not fit into an answer's tokens."""


class Constraint(BaseModel):
    """What an answer may be, for engines that force it by structured decoding.

    Args:
        choice: the texts to choose from: 2 to 256 that differ, of 1 to 60 characters.
        regex: what the whole answer has to match, of bounded length. Exactly one of both is set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choice: tuple[str, ...] | None = Field(default=None, min_length=2, max_length=MAX_CHOICES)
    regex: str | None = Field(default=None, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _one_of_both(self) -> Constraint:
        if (self.choice is None) == (self.regex is None):
            raise ValueError("a constraint has either a choice or a regex: set exactly one")
        texts = self.choice or ()
        if len(set(texts)) < len(texts):
            raise ValueError("the texts of a choice must differ: name each once")
        for text in texts:
            if not 0 < len(text) <= MAX_CHOICE_LENGTH:
                raise ValueError(
                    f"a text of a choice has {len(text)} characters ({text[:40]!r}); "
                    f"it may have 1 to {MAX_CHOICE_LENGTH}: leave it out or shorten it"
                )
        return self


class EvalItem(BaseModel):
    """One question to a model, with the answers that count as right.

    Args:
        id: `sampleid#turn`, turns counted from 0.
        task: name of the task.
        images: SHA-256 hex digests of the images' bytes, in the order shown to the model.
        question: the bare question, as reports print it.
        prompt: question and instruction: exactly the text the model sees.
        references: one or more accepted answers; for `vqa_soft` the votes, with repeats.
        format: how the answer is to be written.
        metric: the scorer, see `eval.scorers.SCORERS`.
        constraint: what the answer may be; None leaves the model free. Only predictors that
            `constrains` is true of take items with one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    task: str
    images: tuple[str, ...] = ()
    question: str
    prompt: str
    references: tuple[str, ...] = Field(min_length=1)
    format: AnswerFormat
    metric: Metric
    constraint: Constraint | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 hex of what the model sees (images, prompt), references and constraint."""
        seen: dict[str, object] = {
            "images": self.images, "prompt": self.prompt, "references": self.references
        }  # fmt: skip
        if self.constraint is not None:
            seen["constraint"] = self.constraint.model_dump(exclude_none=True)
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def items_from_samples(samples: Iterable[Sample], card: TaskCard) -> list[EvalItem]:
    """Return the items of an evaluation split, every turn one item, in the order of the samples.

    The card gives name, metric and the wording of instructions.
    """
    return [
        _item(sample, number, turn, card)
        for sample in samples
        for number, turn in enumerate(sample.turns)
    ]


def in_drawing_order(items: Iterable[EvalItem], seed: int) -> list[EvalItem]:
    """Return items in the order in which they are drawn: the first n are the choice of n items.

    It depends only on the seed and on the items themselves, so every version is asked the same
    ones, and a larger choice keeps the items of a smaller one.
    """
    return sorted(items, key=lambda item: _rank(item, seed))


def _item(sample: Sample, number: int, turn: Turn, card: TaskCard) -> EvalItem:
    return EvalItem(
        id=f"{sample.id}#{number}",
        task=card.name,
        images=sample.images,
        question=turn.question,
        prompt=with_instruction(turn.question, turn.format, card.instructions),
        references=_references(turn, card.metric),
        format=turn.format,
        metric=card.metric,
    )


def _references(turn: Turn, metric: Metric) -> tuple[str, ...]:
    """Return what counts as right; the training answer is one of a soft score's votes already."""
    if metric == "vqa_soft" and turn.references:
        return turn.references
    return (turn.answer, *turn.references)


def _rank(item: EvalItem, seed: int) -> tuple[str, str]:
    return hashlib.sha256(f"{seed}:{item.digest}".encode()).hexdigest(), item.id
