"""Containment with word boundaries (MCITlib's remote sensing and driving tasks, RSVQA, DriveLM).

Published: a truth of several words is part of the answer, lower-cased; a truth of one word loses
its periods and needs a space before it, or a space, period or comma after it; in an answer of one
word it only needs to be a part; the word `Unanswerable` is wrong. Quirks: one side is enough, so
"no" is in "I do not know" and "red" in "hundred people"; "1" is in "10". Fixed: as `contains`.
"""

from __future__ import annotations

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer
from eval.scorers.contains import fixed
from eval.scorers.ocr_vqa import GIVING_UP


def _published(item: EvalItem) -> Bound:
    truths = [text.lower() for text in item.references]

    def score(answer: str) -> float:
        said = answer.strip().lower()
        return float(GIVING_UP not in answer and any(_half_bound(truth, said) for truth in truths))

    return score


def _half_bound(truth: str, said: str) -> bool:
    if " " in truth:
        return truth in said
    truth = truth.replace(".", "")
    if " " not in said:
        return truth in said
    return any(form in said for form in (f" {truth}", f"{truth} ", f"{truth}.", f"{truth},"))


SCORER = Scorer(fixed, _published, version=2)
