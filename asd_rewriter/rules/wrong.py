"""Where the wrong answers to a question come from: its own text, the task's labels, its answers."""

from __future__ import annotations

from functools import partial
from random import Random

from asd_rewriter.answers import normalise
from asd_rewriter.cards import TaskCard
from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import DISTRACTORS
from asd_rewriter.rules.alternatives import named_alternatives
from asd_rewriter.rules.boxes import BoxPool
from asd_rewriter.rules.ocr import read_tokens, wrong_tokens
from asd_rewriter.rules.pool import AnswerPool
from asd_rewriter.rules.yes_no import CLAIMS_TRIED, is_natural, reads_alike

POOL, LABELS, OCR, BOXES, OPTIONS, NAMED = (
    f"{DISTRACTORS}{source}" for source in ("pool", "labels", "ocr", "boxes", "options", "question")
)


class WrongAnswers:
    """A task's wrong answers, learned from its facts; the same for the same facts and draws."""

    def __init__(self, card: TaskCard, seed: int) -> None:
        self._answers = AnswerPool(card.labels, seed)
        self._boxes = BoxPool(seed)
        self._source = POOL if card.labels is None else LABELS
        self._ocr_prefix = card.ocr_prefix

    def learn(self, fact: Fact) -> None:
        """Add the fact's answer to those that are wrong for other questions."""
        self._answers.add(fact)
        self._boxes.add(fact)

    def draw(self, rng: Random, fact: Fact, number: int) -> tuple[list[str], str]:
        """Return up to `number` wrong answers, and where the first one came from."""
        wrong, source = self._at_hand(rng, fact, number)
        if fact.native is AnswerFormat.SHORT_ANSWER and len(wrong) < number:
            suits = None if source == LABELS else partial(reads_alike, fact)
            wrong = self._answers.wrong(rng, fact, number, wrong, suits)
        return wrong, source

    def draw_rival(self, rng: Random, fact: Fact) -> tuple[str, bool, str] | None:
        """Return one wrong answer to ask about, whether a natural question fits, and its source."""
        wrong, source = self._at_hand(rng, fact, CLAIMS_TRIED)
        wrong = wrong[:1] if source == NAMED else wrong
        good = [it for it in wrong if reads_alike(fact, it)]
        if not good and source != NAMED and fact.native is AnswerFormat.SHORT_ANSWER:
            suits = partial(reads_alike, fact)
            good = self._answers.wrong(rng, fact, 1, suits=suits, trusts=False)
            source = self._source if good else source
        claim = next(iter([*good, *wrong]), None)
        if claim is None:
            return None
        return claim, is_natural(fact) and reads_alike(fact, claim), source

    def _at_hand(self, rng: Random, fact: Fact, number: int) -> tuple[list[str], str]:
        """Return the wrong answers that need no pool, and where wrong answers come from."""
        if fact.native is AnswerFormat.BOX:
            return self._boxes.wrong(rng, fact, number), BOXES
        if fact.native is AnswerFormat.YES_NO:
            return [opposite(fact.answer)], OPTIONS
        if fact.native is AnswerFormat.MULTIPLE_CHOICE:
            right = normalise(fact.answer)
            others = [it for it in fact.options if normalise(it) != right]
            return rng.sample(others, min(number, len(others))), OPTIONS
        if self._source == LABELS:
            return [], LABELS
        if named := named_alternatives(fact)[:number]:
            return named, NAMED
        if self._ocr_prefix is None:
            return [], POOL
        tokens = read_tokens(fact.question, self._ocr_prefix)
        seen = wrong_tokens(rng, fact, tokens, number)
        return seen, OCR if seen else POOL


def opposite(answer: str) -> str:
    """Return no for yes and yes for no, in the answer's case."""
    word = "no" if answer.casefold().startswith("y") else "yes"
    if answer.isupper():
        return word.upper()
    return word.capitalize() if answer[:1].isupper() else word
