"""Scorers by metric name. Each maps a prediction and its references to a score in [0, 1].

All of them give 0 to an empty answer and never raise on what a model wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from asd_rewriter.cards import Metric
from eval.scorers import exact_match, iou, option_letter, vqa_soft

Scorer = Callable[[str, Sequence[str]], float]

SCORERS: Mapping[Metric, Scorer] = {
    "exact_match": exact_match.score,
    "option_letter": option_letter.score,
    "vqa_soft": vqa_soft.score,
    "iou": iou.score,
}
