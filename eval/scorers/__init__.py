"""Scorers by metric name: what `Metric` of a task card means, in three readings.

`bind_scorer(item, mode)` prepares an item's references once and returns a function of answers.
An answer that is empty or longer than `MAX_ANSWER_CHARS` scores 0 by `fixed` and `lenient` rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import get_args

from asd_rewriter.cards import Metric
from eval.items import EvalItem
from eval.scorers import (
    caption,
    class_name,
    contains,
    contains_words,
    exact_match,
    exact_unspaced,
    gqa,
    iou,
    map_qa,
    ocr_vqa,
    option_letter,
    vizwiz,
    vqa_soft,
)
from eval.scorers.binding import Bound, Mode, Scorer

MODES: tuple[Mode, ...] = get_args(Mode)
MAX_ANSWER_CHARS = 10_000

SCORERS: Mapping[Metric, Scorer] = {
    "exact_match": exact_match.SCORER,
    "option_letter": option_letter.SCORER,
    "vqa_soft": vqa_soft.SCORER,
    "iou": iou.SCORER,
    "gqa": gqa.SCORER,
    "vizwiz": vizwiz.SCORER,
    "ocr_vqa": ocr_vqa.SCORER,
    "class_name": class_name.SCORER,
    "contains_words": contains_words.SCORER,
    "contains": contains.SCORER,
    "map_qa": map_qa.SCORER,
    "exact_unspaced": exact_unspaced.SCORER,
    "caption": caption.SCORER,
}


def scorer_name(metric: Metric, mode: Mode) -> str:
    """Return what a stored score is keyed by: metric, rule version and mode, `iou-1-fixed`."""
    return f"{metric}-{SCORERS[metric].version}-{mode}"


def forgives_more(metric: Metric) -> bool:
    """Whether a metric's lenient reading accepts anything that its fixed one does not."""
    return SCORERS[metric].lenient is not None


def bind_scorer(item: EvalItem, mode: Mode = "fixed", rivals: Collection[str] = ()) -> Bound:
    """Return the function that scores answers to an item.

    Args:
        item: its references are normalised now, once.
        mode: which rules, see `eval.scorers.binding.Mode`.
        rivals: other answers of the task; a lenient reading accepts no text that names one.

    Raises:
        ValueError: if there is no such mode.
    """
    if mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}. Use one of {', '.join(MODES)}.")
    scorer = SCORERS[item.metric]
    if mode == "lenient" and scorer.lenient is not None:
        return scorer.lenient(item, rivals)
    return scorer.published(item) if mode == "published" else scorer.fixed(item)
