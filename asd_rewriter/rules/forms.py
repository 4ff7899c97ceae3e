"""The same question in other formats, in every polarity and order: what evaluation probes with."""

from __future__ import annotations

import zlib
from dataclasses import replace
from random import Random

from asd_rewriter.answers import is_yes_no, parse_options
from asd_rewriter.cards import TaskCard
from asd_rewriter.facts import Fact, joins_options, read_fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.language import is_english
from asd_rewriter.rules.multiple_choice import NUM_OPTIONS, to_multiple_choice
from asd_rewriter.rules.wrong import WrongAnswers, opposite
from asd_rewriter.rules.yes_no import to_yes_no
from asd_rewriter.samples import Turn


class OtherForms:
    """Asks a task's questions as ASD would, with the wording that rewriting by rules has.

    The same for the same turns learned, seed and key. A question that a format does not suit
    (see `RuleRewriter`) yields no turn.
    """

    def __init__(self, card: TaskCard, seed: int = 0) -> None:
        self._wrong = WrongAnswers(card, seed)
        self._seed = seed

    def learn(self, turn: Turn) -> None:
        """Take in a native turn of the task; its answer is wrong for other questions."""
        fact = read_fact(turn)
        if fact is not None:
            self._wrong.learn(fact)

    def both_polarities(self, key: str, turn: Turn) -> tuple[Turn, ...]:
        """Return a yes/no question to be answered with yes, and the like one with no."""
        fact = readable_fact(turn)
        if fact is None or is_yes_no(fact.answer):
            return ()
        if fact.native is AnswerFormat.MULTIPLE_CHOICE and joins_options(fact.answer):
            return ()  # no other option is a false claim
        drawn = self._wrong.draw_rival(self._rng(key, AnswerFormat.YES_NO), fact)
        if drawn is None:
            return ()
        claim, natural, _ = drawn
        true = to_yes_no(fact, fact.answer, True, natural=natural)
        return true.turn, to_yes_no(fact, claim, False, natural=natural).turn

    def all_orders(self, key: str, turn: Turn) -> tuple[Turn, ...]:
        """Return multiple-choice questions over the same options (2 to 4), one per place.

        The right one stands first in the first, second in the second, and so on.
        """
        fact = readable_fact(turn)
        if fact is None or any(map(joins_options, fact.options)):
            return ()
        if listed := parse_options(fact.question):
            fact = replace(fact, question=listed.stem)
        rng = self._rng(key, AnswerFormat.MULTIPLE_CHOICE)
        if is_yes_no(fact.answer):
            wrong = [opposite(fact.answer)]  # beside other answers it would stand out
        else:
            wrong, _ = self._wrong.draw(rng, fact, NUM_OPTIONS - 1)
        if not wrong:
            return ()
        places = range(len(wrong) + 1)
        return tuple(to_multiple_choice(fact, wrong, place).turn for place in places)

    def _rng(self, key: str, target: AnswerFormat) -> Random:
        return Random(zlib.crc32(f"{self._seed}:{key}:{target}".encode()))


def readable_fact(turn: Turn) -> Fact | None:
    """Return what a turn states, or None where rules cannot reword it: not English, no fact."""
    fact = read_fact(turn)
    return fact if fact is not None and is_english(asked(fact)) else None


def asked(fact: Fact) -> str:
    """Return the question without its options, which may be in any language."""
    if not fact.needs_options:
        return fact.question
    listed = parse_options(fact.question)
    return listed.stem if listed else fact.question
