"""Intersection over union of two boxes; right above one half, as in CoIN's grounding task.

Published: SEFE's parser removes brackets, *then drops the first and the last character*, splits
at commas and needs four numbers. Quirks: `[0.76, 0.33, 0.99, 0.65]` is read as .76, .33, .99, .6;
a last `0.9` becomes `0.`, a first `1.0` becomes `.0`; any other text around the box makes it
unreadable. Boxes are compared as fractions, without the scaling by the image's longer side, which
cancels out. Fixed: the box as it is written; two different boxes are no answer. Lenient: corners
in any order, and numbers anywhere in the text, if they are exactly four.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer

Box = tuple[float, float, float, float]

THRESHOLD = 0.5

# Atomic groups and possessive quantifiers keep the time linear in the text, which may be hostile.
_NUMBER = r"(?>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?)"
_GROUPS = r"\s*+,\s*+".join([f"({_NUMBER})"] * 4)
_BRACKETED = re.compile(rf"[\[(]\s*+{_GROUPS}\s*+,?\s*+[\])]")
_LOOSE = re.compile(rf"(?<![\w.]){_NUMBER}(?![\w.]*\w)")


def parse_box(text: str) -> Box | None:
    """Return the box `(x1, y1, x2, y2)` that a text states, or None.

    Bracketed groups of four numbers count, if all are the same; without one, the text's numbers
    if there are exactly four. A box with x2 <= x1 or y2 <= y1 covers nothing and is None.
    """
    return _box(_numbers(text))


def parse_box_leniently(text: str) -> Box | None:
    """Return the box that a text states, its corners in any order, or None."""
    found = _numbers(text)
    if found is None:
        return None
    x1, y1, x2, y2 = found
    return _box((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))


def parse_box_as_published(text: str) -> Box | None:
    """Return the four numbers that SEFE's parser reads from an answer, or None."""
    try:
        parts = text.strip().replace("[", "").replace("]", "")[1:-1].split(",", 4)
        x1, y1, x2, y2 = map(float, parts)
    except ValueError:
        return None
    return _box((x1, y1, x2, y2))


def _numbers(text: str) -> Box | None:
    groups = {tuple(map(float, found.groups())) for found in _BRACKETED.finditer(text)}
    if len(groups) > 1:
        return None
    numbers = groups.pop() if groups else tuple(map(float, _LOOSE.findall(text)))
    if len(numbers) != 4:
        return None
    x1, y1, x2, y2 = numbers
    return x1, y1, x2, y2


def _box(found: Box | None) -> Box | None:
    if found is None or not all(map(math.isfinite, found)):
        return None
    x1, y1, x2, y2 = found
    return None if x2 <= x1 or y2 <= y1 else found


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


def _by(read: Callable[[str], Box | None]) -> Callable[[EvalItem], Bound]:
    def bind(item: EvalItem) -> Bound:
        targets = [box for box in map(parse_box, item.references) if box]

        def score(answer: str) -> float:
            box = read(answer)
            return float(box is not None and any(overlap(box, it) > THRESHOLD for it in targets))

        return score

    return bind


def _lenient(item: EvalItem, rivals: Collection[str]) -> Bound:
    return _by(parse_box_leniently)(item)


SCORER = Scorer(_by(parse_box), _by(parse_box_as_published), _lenient)
