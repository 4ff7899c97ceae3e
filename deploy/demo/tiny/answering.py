"""Ask a model by stock greedy generation, and score what it says."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from PIL import Image
from transformers import Idefics3ForConditionalGeneration, Idefics3Processor

from asd_rewriter.formats import AnswerFormat
from eval.scorers.iou import THRESHOLD, Box, overlap

LENGTHS = {
    AnswerFormat.BRIEF_EXPLANATION: (15, 26),
    AnswerFormat.DETAILED_EXPLANATION: (40, 60),
}
"""Least and most words of an explanation of the asked length (about 20, about 50)."""


@dataclass(frozen=True)
class Share:
    """How many of `total` answers were right; `low` and `high`: 95 % Wilson interval, 0 to 1."""

    right: int
    total: int

    @property
    def value(self) -> float:
        """The share itself, 0 to 1 (0 when nothing was asked)."""
        return self.right / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval (0 to 1 when nothing was asked)."""
        if not self.total:
            return 0.0, 1.0
        z, n, p = 1.959964, self.total, self.value
        middle = p + z * z / (2 * n)
        margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = ((middle + way * margin) / (1 + z * z / n) for way in (-1, 1))
        return max(0.0, low), min(1.0, high)


def greedy(
    model: Idefics3ForConditionalGeneration,
    processor: Idefics3Processor,
    images: Sequence[Image.Image],
    prompts: Sequence[str],
    batch: int = 64,
    max_new_tokens: int = 40,
) -> list[str]:
    """Return the greedy answer to each (image, prompt), special tokens and spaces stripped."""
    answers: list[str] = []
    speak = cast(Any, processor)
    for at in range(0, len(prompts), batch):
        chats = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
            for prompt in prompts[at : at + batch]
        ]
        texts = [speak.apply_chat_template(chat, add_generation_prompt=True) for chat in chats]
        pictures = [[image] for image in images[at : at + batch]]
        inputs = speak(text=texts, images=pictures, padding=True, return_tensors="pt")
        with torch.no_grad():
            made = cast(Any, model).generate(
                **inputs, max_new_tokens=max_new_tokens, do_sample=False
            )
        answers += speak.batch_decode(made[:, inputs["input_ids"].shape[1] :],
                                      skip_special_tokens=True)  # fmt: skip
    return [answer.strip() for answer in answers]


def read_box(text: str) -> Box | None:
    """Return the numbers of exactly `[x1, y1, x2, y2]`, else None.

    The `iou` scorer reads more: it forgives another spelling, which here would hide a lapse.
    """
    match = re.fullmatch(r"\[([0-9.]+), ([0-9.]+), ([0-9.]+), ([0-9.]+)\]", text)
    if not match:
        return None
    try:
        x1, y1, x2, y2 = (float(number) for number in match.groups())
    except ValueError:
        return None
    return x1, y1, x2, y2


def _agree(said: str, wanted: str) -> bool:
    truth = read_box(wanted)
    if truth is None:
        return said == wanted
    box = read_box(said)
    return box is not None and overlap(box, truth) > THRESHOLD


def is_right(answer_format: AnswerFormat, said: str, wanted: str, short: str = "") -> bool:
    """Tell whether an answer counts.

    Boxes need an overlap above 0.5; explanations the asked length and `The answer is SHORT.`
    with the right short answer; everything else equality.
    """
    if answer_format not in LENGTHS:
        return _agree(said, wanted)
    low, high = LENGTHS[answer_format]
    found = re.match(r"The answer is (\[.*?\]|.*?)\.", said)
    return found is not None and _agree(found[1], short) and low <= len(said.split()) <= high
