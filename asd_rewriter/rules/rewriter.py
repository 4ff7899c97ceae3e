"""The rewriter that needs no model: it draws candidates and hands them to the format's rule."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from random import Random

from asd_rewriter.answers import is_yes_no
from asd_rewriter.cards import TaskCard
from asd_rewriter.facts import Fact, joins_options, read_fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.language import is_english
from asd_rewriter.rewriter import Declined, Outcome, RewriteRequest, Rewritten
from asd_rewriter.rules.explanations import to_brief_explanation, to_detailed_explanation
from asd_rewriter.rules.forms import asked
from asd_rewriter.rules.multiple_choice import NUM_OPTIONS, to_multiple_choice
from asd_rewriter.rules.short_answer import to_short_answer
from asd_rewriter.rules.wrong import WrongAnswers
from asd_rewriter.rules.yes_no import to_yes_no

NO_WRONG_ANSWER = "no_wrong_answer_in_pool"
NOT_REWRITABLE = "not_rewritable"
NOT_ENGLISH = "not_english"
ALREADY_YES_NO = "already_yes_no"
ALL_RIGHT = "all_options_right"


class RuleRewriter:
    """Rewrites by rules; the same for the same facts, seed and sequence of requests.

    Yes and no, and the letters of right answers, are dealt from shuffled decks: over a whole task
    each comes up equally often.
    """

    def __init__(self, card: TaskCard, seed: int) -> None:
        self._wrong = WrongAnswers(card, seed)
        self._seed = seed
        self._deal = Random(f"{seed}:decks")
        self._decks: dict[int, list[int]] = {}

    def learn(self, fact: Fact) -> None:
        """Add the fact's answer to those that are wrong for other questions."""
        self._wrong.learn(fact)

    def prepare(self, requests: Iterable[RewriteRequest]) -> None:
        """Do nothing: rules need no time."""

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[Outcome]:
        """Return one outcome per request, in order."""
        return [self._rewrite(request) for request in requests]

    def _rewrite(self, request: RewriteRequest) -> Rewritten | Declined:
        fact = read_fact(request.turn)
        if fact is None:
            return Declined(NOT_REWRITABLE)
        if not is_english(asked(fact)):
            return Declined(NOT_ENGLISH)
        match request.target:
            case AnswerFormat.SHORT_ANSWER:
                return to_short_answer(fact)
            case AnswerFormat.YES_NO:
                return self._to_yes_no(self._rng(request), fact)
            case AnswerFormat.MULTIPLE_CHOICE:
                return self._to_multiple_choice(self._rng(request), fact)
            case AnswerFormat.BRIEF_EXPLANATION:
                return to_brief_explanation(fact, bool(request.images))
            case AnswerFormat.DETAILED_EXPLANATION:
                return to_detailed_explanation(fact, bool(request.images))
        return Declined(NOT_REWRITABLE)

    def _to_yes_no(self, rng: Random, fact: Fact) -> Rewritten | Declined:
        if is_yes_no(fact.answer):
            return Declined(ALREADY_YES_NO)
        if fact.native is AnswerFormat.MULTIPLE_CHOICE and joins_options(fact.answer):
            return Declined(ALL_RIGHT)  # no other option is a false claim
        # Looked for even when the claim will be the answer: a pool without a wrong answer would
        # otherwise yield "yes" only.
        drawn = self._wrong.draw_rival(rng, fact)
        if drawn is None:
            return Declined(NO_WRONG_ANSWER)
        claim, natural, source = drawn
        if self._from_deck(2) == 0:
            return to_yes_no(fact, fact.answer, True, natural=natural)
        return to_yes_no(fact, claim, False, (source,), natural)

    def _to_multiple_choice(self, rng: Random, fact: Fact) -> Rewritten | Declined:
        wrong, source = self._wrong.draw(rng, fact, NUM_OPTIONS - 1)
        if not wrong:
            return Declined(NO_WRONG_ANSWER)
        return to_multiple_choice(fact, wrong, self._from_deck(len(wrong) + 1), (source,))

    def _rng(self, request: RewriteRequest) -> Random:
        return Random(zlib.crc32(f"{self._seed}:{request.key}:{request.target}".encode()))

    def _from_deck(self, size: int) -> int:
        deck = self._decks.setdefault(size, [])
        if not deck:
            deck.extend(self._deal.sample(range(size), size))
        return deck.pop()
