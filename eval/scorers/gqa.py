"""GQA: exact match.

Published: CoIN's conversion before GQA's own evaluator: trailing periods go, lower case, one
leading space goes; then equal to the truth *as it is written*. Quirks: a truth with capitals or
a trailing period can never be matched; an empty answer equals an empty truth; other punctuation
and extra words are wrong.
"""

from __future__ import annotations

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer, or_said
from eval.scorers.exact_match import FIXED


def _published(item: EvalItem) -> Bound:
    accepted = frozenset(item.references)
    return lambda answer: 1.0 if answer.strip().rstrip(".").lower() in accepted else 0.0


SCORER = Scorer(FIXED, _published, or_said(FIXED), version=2)
