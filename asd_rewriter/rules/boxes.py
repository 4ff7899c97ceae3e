"""Wrong boxes for a box: other boxes of the task that lie clearly elsewhere."""

from __future__ import annotations

from random import Random

from asd_rewriter.answers import Box, iou, parse_box
from asd_rewriter.facts import Fact

MAX_IOU = 0.3
"""Two boxes that overlap more than this might both pass as right."""
_TRIES = 16


class BoxPool:
    """The task's boxes, as written, each once."""

    def __init__(self) -> None:
        self._written: dict[str, Box] = {}
        self._boxes: list[tuple[str, Box]] = []

    def add(self, fact: Fact) -> None:
        """Take in a fact's box, if it has one."""
        if fact.box is not None:
            self._written[fact.answer] = fact.box
            self._boxes = []

    def wrong(self, rng: Random, fact: Fact, number: int) -> list[str]:
        """Return up to `number` boxes that overlap little with the right one and each other."""
        right = fact.box or parse_box(fact.answer)
        self._boxes = self._boxes or sorted(self._written.items())
        if right is None or not self._boxes:
            return []
        taken: list[tuple[str, Box]] = [(fact.answer, right)]
        for _ in range(_TRIES * number):
            if len(taken) > number:
                break
            text, box = rng.choice(self._boxes)
            if all(iou(box, other) <= MAX_IOU for _, other in taken):
                taken.append((text, box))
        return [text for text, _ in taken[1:]]
