"""Class names (ImageNet as CoIN scores it).

Published: the label is part of the answer, or the answer part of the label, with case. Quirks:
an empty answer, a single letter of the label, "dog" for "hot dog" and any list that names the
class are right; answers are paired with labels by line order, which is not imitated: here pairs
are made by id. Fixed: the answer contains a name of the class, as `contains` does; a label may
list several names, divided by commas ("tench, Tinca tinca").
"""

from __future__ import annotations

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer
from eval.scorers.contains import contains_any


def _fixed(item: EvalItem) -> Bound:
    return contains_any(name for label in item.references for name in (label, *label.split(",")))


def _published(item: EvalItem) -> Bound:
    labels = item.references

    def score(answer: str) -> float:
        said = answer.strip()
        return float(any(label in said or said in label for label in labels))

    return score


SCORER = Scorer(_fixed, _published, version=2)
