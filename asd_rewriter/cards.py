"""The task card: what a submitted dataset is, how its answers look and how they are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from asd_rewriter.formats import AnswerFormat

Metric = Literal[
    "exact_match",
    "option_letter",
    "vqa_soft",
    "iou",
    "gqa",
    "vizwiz",
    "ocr_vqa",
    "class_name",
    "contains_words",
    "contains",
    "map_qa",
    "exact_unspaced",
    "caption",
]
"""Rule by which answers are scored, see `docs/scorers.md`."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"


class CardSplits(BaseModel):
    """Paths of the split files inside the archive. No `eval`: 10 % of train is held out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: str = "train.json"
    eval: str | None = None


class TaskCard(BaseModel):
    """A task's name, native answer format, metric, splits, closed label set and licence.

    `instructions` overrides the standard instruction line of single formats. `ocr_prefix`: the
    question's line that starts so lists words read from the image, divided by commas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN)
    answer_format: AnswerFormat
    metric: Metric
    splits: CardSplits = CardSplits()
    labels: tuple[str, ...] | None = Field(default=None, min_length=2)
    instructions: dict[AnswerFormat, str] = Field(default_factory=dict)
    ocr_prefix: str | None = Field(default=None, min_length=1, max_length=100)
    description: str = Field(default="", max_length=2000)
    licence: str = Field(default="unknown", max_length=200)

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        _check_labels(labels or ())
        return labels

    @model_validator(mode="after")
    def _metric_fits_format(self) -> TaskCard:
        wanted = {"box": "iou", "multiple_choice": "option_letter"}.get(self.answer_format)
        if wanted and self.metric != wanted:
            raise ValueError(
                f"metric {self.metric!r} does not fit answer_format {self.answer_format.value!r}: "
                f"use {wanted!r}"
            )
        if self.metric == "iou" and self.answer_format != AnswerFormat.BOX:
            raise ValueError("metric 'iou' scores boxes only: set answer_format to 'box'")
        if self.metric == "option_letter" and self.answer_format != AnswerFormat.MULTIPLE_CHOICE:
            raise ValueError("metric 'option_letter' needs answer_format 'multiple_choice'")
        return self


def _check_labels(labels: Sequence[str]) -> None:
    """Raise ValueError for a label without text, or two that differ in case or spaces only."""
    seen: dict[str, str] = {}
    for number, label in enumerate(labels, 1):
        plain = label.strip().casefold()
        if not plain:
            raise ValueError(f"label {number} ({label[:40]!r}) has no text: remove it")
        if plain in seen:
            raise ValueError(
                f"label {number} ({label[:40]!r}) is the same as {seen[plain][:40]!r} up to case "
                "and outer spaces: keep one of them"
            )
        seen[plain] = label
