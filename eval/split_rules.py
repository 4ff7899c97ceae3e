"""Which rules a split was made under: a number, and a digest of what the rules do."""

from __future__ import annotations

import hashlib
import json
from functools import cache

from asd_rewriter.cards import TaskCard
from eval.forgetting import RIGHT
from eval.items import EvalItem
from eval.probes import Probe, build_probes, probe_score

SPLIT_RULES = "3"
"""Raised when rules change so that splits become incomparable."""

_OPTIONS = "A. a red bus\nB. a green car\nC. two dogs\nD. nothing"
_QUESTIONS = (
    ("short_answer", "exact_match", "What colour is the bus?", ("red", "green", "blue", "grey")),
    ("short_answer", "vqa_soft", "Is it raining?", ("yes", "no")),
    ("multiple_choice", "option_letter", f"What is in the picture?\n{_OPTIONS}", ("B", "A")),
    (
        "box", "iou", "Where is the bus?",
        ("[0.1, 0.2, 0.5, 0.6]", "[0.6, 0.7, 0.9, 1.0]", "[0.7, 0.0, 1.0, 0.1]"),
    ),
)  # fmt: skip
"""Format, metric and question, the right answer, then those of the task's other questions."""
_ANSWERS = (
    "red", "Red.", "The answer is red.", "red or green", "green", "B", "(b)", "B. a green car",
    "a green car", "It is A.", "yes", "Yes, it is.", "no", "No.", "[0.1, 0.2, 0.5, 0.6]",
    "0.1 0.2 0.5 0.6", "",
)  # fmt: skip


@cache
def rules_version() -> str:
    """Return `SPLIT_RULES` and a digest of what the rules make of fixed questions and answers.

    The digest moves with any wording, order of options, forced answer space, threshold and score,
    also where raising the number was forgotten. Splits of unequal versions are not comparable.
    """
    probes = [probe for specimen in _QUESTIONS for probe in _probes(*specimen)]
    asked = [[probe.kind, probe.digest] for probe in probes]
    scores = [[probe_score(probe, answer) for answer in _ANSWERS] for probe in probes]
    rules = json.dumps([RIGHT, asked, scores])
    return f"{SPLIT_RULES}-{hashlib.sha256(rules.encode()).hexdigest()[:12]}"


def _probes(
    answer_format: str, metric: str, question: str, answers: tuple[str, ...]
) -> list[Probe]:
    card = TaskCard.model_validate(
        {"name": "specimen", "answer_format": answer_format, "metric": metric}
    )
    items = [
        EvalItem(
            id=str(number), task=card.name, question=question, prompt=question,
            references=(answer,), format=card.answer_format, metric=card.metric,
        )
        for number, answer in enumerate(answers)
    ]  # fmt: skip
    return build_probes(items[:1], items, card)
