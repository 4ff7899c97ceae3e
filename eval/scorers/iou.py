"""Intersection over union of two boxes; right above one half, as in CoIN's grounding task."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

Box = tuple[float, float, float, float]

THRESHOLD = 0.5

# Atomic groups and possessive quantifiers keep the time linear in the text, which may be hostile.
_NUMBER = r"(?>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?)"
_GROUPS = r"\s*+,\s*+".join([f"({_NUMBER})"] * 4)
_BRACKETED = re.compile(rf"[\[(]\s*+{_GROUPS}\s*+,?\s*+[\])]")
_LOOSE = re.compile(rf"(?<![\w.]){_NUMBER}(?![\w.]*\w)")


def parse_box(text: str) -> Box | None:
    """Return the box `(x1, y1, x2, y2)` that a text states, or None.

    The first bracketed group of four numbers counts; without one, the text's numbers if there
    are exactly four. A box with x2 <= x1 or y2 <= y1 covers nothing and is None.
    """
    bracketed = _BRACKETED.search(text)
    found = list(bracketed.groups()) if bracketed else _LOOSE.findall(text)
    if len(found) != 4:
        return None
    x1, y1, x2, y2 = (float(number) for number in found)
    if not all(map(math.isfinite, (x1, y1, x2, y2))) or x2 <= x1 or y2 <= y1:
        return None
    return x1, y1, x2, y2


def overlap(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes, in [0, 1]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(first) + _area(second) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def score(prediction: str, references: Sequence[str]) -> float:
    """Return 1.0 if the predicted box overlaps a reference by more than one half, else 0.0."""
    box = parse_box(prediction)
    if box is None:
        return 0.0
    targets = (parse_box(text) for text in references)
    return float(any(target and overlap(box, target) > THRESHOLD for target in targets))
