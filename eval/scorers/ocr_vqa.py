"""OCR-VQA: exact match.

Published: lower-cased texts are equal, and any answer with the word `Unanswerable` is wrong.
Quirks: even where that is the truth; a trailing period is wrong; an empty answer equals an empty
truth.
"""

from __future__ import annotations

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer, or_said
from eval.scorers.exact_match import FIXED

GIVING_UP = "Unanswerable"


def _published(item: EvalItem) -> Bound:
    accepted = {text.strip().lower() for text in item.references}
    return lambda answer: float(GIVING_UP not in answer and answer.strip().lower() in accepted)


SCORER = Scorer(FIXED, _published, or_said(FIXED), version=2)
