"""MCITlib's science task: letters (AI2D, SciVerse, TQA) and MapQA in one file.

Published: a truth of one letter `a` to `d` must be equal, lower-cased. For a question with
"Which states", both texts are split at commas and the share of true states that are named counts.
Any other truth must be part of the answer; the word `Unanswerable` is wrong. Quirks: spaces after
commas stay, so "Ohio, Texas" names " texas" and not "texas"; naming every state scores 1; "B." is
wrong; containment is that of `contains`. Fixed: a letter may have a period; states are compared
without outer spaces and "and", and the share is of all states named or true; containment is
repaired.
"""

from __future__ import annotations

import re

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer, best
from eval.scorers.contains import contains_any
from eval.scorers.exact_match import FIXED as EXACT
from eval.scorers.exact_match import normalise
from eval.scorers.ocr_vqa import GIVING_UP

ASKS_FOR_STATES = "Which states"
_BETWEEN = re.compile(r",(?:\s*and\s)?|;|\sand\s|\n")


def _states(text: str) -> frozenset[str]:
    return frozenset(filter(None, map(normalise, _BETWEEN.split(text.lower()))))


def _fixed(item: EvalItem) -> Bound:
    if all(len(text.strip(" .")) == 1 for text in item.references):
        return EXACT(item)
    if ASKS_FOR_STATES not in item.question:
        return contains_any(item.references)
    truths = [states for states in map(_states, item.references) if states]

    def score(answer: str) -> float:
        named = _states(answer)
        return best(len(named & truth) / len(named | truth) for truth in truths)

    return score


def _published(item: EvalItem) -> Bound:
    truths = [text.lower() for text in item.references]
    for_states = ASKS_FOR_STATES in item.question

    def score(answer: str) -> float:
        if GIVING_UP in answer:
            return 0.0
        said = answer.strip().lower()
        return best(_one(truth, said, for_states) for truth in truths)

    return score


def _one(truth: str, said: str, for_states: bool) -> float:
    if truth in ("a", "b", "c", "d"):
        return float(truth == said)
    if for_states:
        wanted, named = truth.split(","), frozenset(said.split(","))
        return sum(state in named for state in wanted) / len(wanted)
    return float(truth in said)


SCORER = Scorer(_fixed, _published, version=2)
