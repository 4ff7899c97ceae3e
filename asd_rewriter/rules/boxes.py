"""Wrong boxes for a box: other boxes of the task that lie clearly elsewhere."""

from __future__ import annotations

from random import Random

from asd_rewriter.answers import Box, iou, parse_box
from asd_rewriter.facts import Fact

MAX_IOU = 0.3
"""Two boxes that overlap more than this might both pass as right."""
MAX_COVERED = 0.5
"""Nor may more of the smaller box lie within the other one."""
MAX_BOXES = 20_000
_TRIES = 16


class BoxPool:
    """The task's boxes, as written; of more than `MAX_BOXES`, a seeded uniform sample."""

    def __init__(self, seed: int = 0) -> None:
        self._boxes: list[str] = []
        self._seen = 0
        self._rng = Random(f"{seed}:boxes")

    def add(self, fact: Fact) -> None:
        """Take in a fact's box, if it has one."""
        if fact.box is None:
            return
        self._seen += 1
        if len(self._boxes) < MAX_BOXES:
            self._boxes.append(fact.answer)
        elif (at := int(self._rng.random() * self._seen)) < MAX_BOXES:
            self._boxes[at] = fact.answer

    def wrong(self, rng: Random, fact: Fact, number: int) -> list[str]:
        """Return up to `number` boxes that overlap little with the right one and each other."""
        right = fact.box or parse_box(fact.answer)
        if right is None or not self._boxes:
            return []
        taken: list[tuple[str, Box]] = [(fact.answer, right)]
        for _ in range(_TRIES * number):
            if len(taken) > number:
                break
            text = self._boxes[int(rng.random() * len(self._boxes))]
            box = parse_box(text)
            if box is not None and all(_apart(box, other) for _, other in taken):
                taken.append((text, box))
        return [text for text, _ in taken[1:]]


def _apart(one: Box, two: Box) -> bool:
    over = iou(one, two)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    shared = over / (1 + over) * sum(areas)
    return over <= MAX_IOU and shared <= MAX_COVERED * min(areas)
