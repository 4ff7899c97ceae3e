"""Containment: the truth somewhere in a long answer (MCITlib's medical task, PathVQA).

Published: the lower-cased truth is part of the lower-cased answer, and the word `Unanswerable`
is not. Quirks: "no" is in "unknown", "not red" contains "red", an empty truth is in everything.
Fixed: whole words on both sides; no denying or doubting word in their clause and no short second
answer beside them; of yes and no, the first word counts, or else the only one in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer
from eval.scorers.ocr_vqa import GIVING_UP
from eval.scorers.saying import POLARITY, Phrase, denies, is_harmless, other_clauses
from eval.scorers.words import Words, phrases, places, words_of

SHORT_CLAUSE = 2
"""A clause of at most this many words can only be another answer."""


def contains_any(texts: Iterable[str]) -> Bound:
    """Return a function that is 1.0 for an answer that contains one of the texts."""
    wanted = phrases(texts)

    def score(answer: str) -> float:
        said = words_of(answer)
        return float(any(_contains(said, phrase) for phrase in wanted))

    return score


def _contains(said: Words, phrase: Phrase) -> bool:
    if len(phrase) == 1 and phrase[0] in POLARITY:
        return _agrees(said.words, phrase[0])
    found = list(places(said.words, phrase))
    own = {said.clauses[at + step] for at in found for step in range(len(phrase))}
    around = [word for word, clause in zip(said.words, said.clauses, strict=True) if clause in own]
    return (
        bool(found)
        and not denies(around, phrase)
        and all(
            len(clause) > SHORT_CLAUSE or is_harmless(clause) or clause[0] in POLARITY
            for clause in other_clauses(said, own).values()
        )
    )


def _agrees(words: Phrase, wanted: str) -> bool:
    if words[:1] and words[0] in POLARITY:
        return words[0] == wanted and words[1:2] not in (("or",), ("and",))
    return POLARITY.keys() & set(words) == {wanted}


def fixed(item: EvalItem) -> Bound:
    """Return 1.0 for an answer that contains a reference."""
    return contains_any(item.references)


def _published(item: EvalItem) -> Bound:
    truths = [text.lower() for text in item.references]
    return lambda answer: float(
        GIVING_UP not in answer and any(truth in answer.lower() for truth in truths)
    )


SCORER = Scorer(fixed, _published, version=2)
