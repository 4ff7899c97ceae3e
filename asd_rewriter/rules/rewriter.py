"""The rewriter that needs no model: it draws candidates and hands them to the format's rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from asd_rewriter.answers import normalise
from asd_rewriter.cards import TaskCard
from asd_rewriter.facts import Fact, read_fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import Declined, Outcome, RewriteRequest, Rewritten
from asd_rewriter.rules.boxes import BoxPool
from asd_rewriter.rules.explanations import to_brief_explanation, to_detailed_explanation
from asd_rewriter.rules.multiple_choice import NUM_OPTIONS, to_multiple_choice
from asd_rewriter.rules.pool import AnswerPool
from asd_rewriter.rules.short_answer import to_short_answer
from asd_rewriter.rules.yes_no import to_yes_no

NO_WRONG_ANSWER = "no_wrong_answer_in_pool"
NOT_REWRITABLE = "not_rewritable"


class RuleRewriter:
    """Rewrites by rules; the same for the same facts, seed and sequence of requests.

    Yes and no, and the letters of right answers, are dealt from shuffled decks: over a whole task
    each comes up equally often.
    """

    def __init__(self, card: TaskCard, seed: int) -> None:
        self._answers = AnswerPool(card.labels)
        self._boxes = BoxPool()
        self._seed = seed
        self._deal = Random(f"{seed}:decks")
        self._decks: dict[int, list[int]] = {}

    def learn(self, fact: Fact) -> None:
        """Add the fact's answer to those that are wrong for other questions."""
        self._answers.add(fact)
        self._boxes.add(fact)

    def prepare(self, requests: Iterable[RewriteRequest]) -> None:
        """Do nothing: rules need no time."""

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[Outcome]:
        """Return one outcome per request, in order."""
        return [self._rewrite(request) for request in requests]

    def _rewrite(self, request: RewriteRequest) -> Rewritten | Declined:
        fact = read_fact(request.turn)
        if fact is None:
            return Declined(NOT_REWRITABLE)
        rng = Random(f"{self._seed}:{request.key}:{request.target}")
        match request.target:
            case AnswerFormat.SHORT_ANSWER:
                return to_short_answer(fact)
            case AnswerFormat.YES_NO:
                return self._to_yes_no(rng, fact)
            case AnswerFormat.MULTIPLE_CHOICE:
                return self._to_multiple_choice(rng, fact)
            case AnswerFormat.BRIEF_EXPLANATION:
                return to_brief_explanation(fact)
            case AnswerFormat.DETAILED_EXPLANATION:
                return to_detailed_explanation(fact)
        return Declined(NOT_REWRITABLE)

    def _to_yes_no(self, rng: Random, fact: Fact) -> Rewritten | Declined:
        # Looked for even when the claim will be the answer: a pool without a wrong answer would
        # otherwise yield "yes" only.
        wrong = self._wrong(rng, fact, 1)
        if not wrong:
            return Declined(NO_WRONG_ANSWER)
        true = self._from_deck(2) == 0
        return to_yes_no(fact, fact.answer if true else wrong[0], true)

    def _to_multiple_choice(self, rng: Random, fact: Fact) -> Rewritten | Declined:
        wrong = self._wrong(rng, fact, NUM_OPTIONS - 1)
        if not wrong:
            return Declined(NO_WRONG_ANSWER)
        return to_multiple_choice(fact, wrong, self._from_deck(len(wrong) + 1))

    def _wrong(self, rng: Random, fact: Fact, number: int) -> list[str]:
        if fact.native is AnswerFormat.BOX:
            return self._boxes.wrong(rng, fact, number)
        if fact.native is AnswerFormat.YES_NO:
            return [_opposite(fact.answer)]
        if fact.native is AnswerFormat.MULTIPLE_CHOICE:
            right = normalise(fact.answer)
            others = [it for it in fact.options if normalise(it) != right]
            return rng.sample(others, min(number, len(others)))
        return self._answers.wrong(rng, fact, number)

    def _from_deck(self, size: int) -> int:
        deck = self._decks.setdefault(size, [])
        if not deck:
            deck.extend(self._deal.sample(range(size), size))
        return deck.pop()


def _opposite(answer: str) -> str:
    word = "no" if answer.casefold().startswith("y") else "yes"
    if answer.isupper():
        return word.upper()
    return word.capitalize() if answer[:1].isupper() else word
