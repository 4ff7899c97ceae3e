"""Lenient scores: an answer counts if it names the right one, however it is written."""

from __future__ import annotations

import re

from asd_rewriter.answers import parse_options
from asd_rewriter.formats import OPTION_LETTERS
from eval.items import EvalItem
from eval.scorers.iou import THRESHOLD, overlap, parse_box
from eval.scorers.vqa_soft import normalise
from eval.scoring import score_item

_LETTER = re.compile(r"(?:\W*(?:the )?(?:answer|option)(?: is)?:?)?\s*\(?([A-H])\b[).:]?", re.I)


def lenient_score(item: EvalItem, answer: str) -> float:
    """Return the item's score in [0, 1] with style forgiven."""
    strict = score_item(item, answer)
    if strict or not answer.strip():
        return strict
    if item.metric == "iou":
        return _box(item, answer)
    if item.metric == "option_letter":
        return _option(item, answer)
    said = f" {normalise(answer)} "
    named = {text for text in item.references if f" {normalise(text)} " in said}
    return max((score_item(item, text) for text in named), default=0.0)


def _box(item: EvalItem, answer: str) -> float:
    numbers = re.findall(r"\d*\.?\d+", answer)
    box = parse_box(", ".join(numbers)) if len(numbers) == 4 else None
    targets = [parse_box(text) for text in item.references]
    return float(any(box and it and overlap(box, it) > THRESHOLD for it in targets))


def _option(item: EvalItem, answer: str) -> float:
    if found := _LETTER.fullmatch(answer.strip()):
        return float(found[1].upper() in item.references)
    listed = parse_options(item.question)
    said = f" {normalise(answer)} "
    named = [
        letter
        for letter, text in zip(OPTION_LETTERS, listed.options if listed else (), strict=False)
        if f" {normalise(text)} " in said
    ]
    return float(len(named) == 1 and named[0] in item.references)
