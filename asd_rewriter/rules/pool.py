"""The task's own answers as a pool of wrong ones: same kind of question, same kind of answer."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

from asd_rewriter.answers import is_yes_no, normalise
from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat

_SMALL = 64
Key = tuple[str, ...]


@dataclass
class _Group:
    """Answers with their frequencies; drawing weighs them by the square root."""

    counts: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)

    def freeze(self) -> None:
        self.names = sorted(self.counts)
        self.sums = list(accumulate(self.counts[name] ** 0.5 for name in self.names))

    def draws(self, rng: Random, number: int) -> Iterable[str]:
        """Yield some names at random, frequent ones more often; of a small group, all."""
        if not self.names:
            self.freeze()
        for _ in range(4 * number + 4):
            yield self.names[bisect_right(self.sums, rng.random() * self.sums[-1])]
        if len(self.names) <= _SMALL:
            yield from rng.sample(self.names, len(self.names))


class AnswerPool:
    """Wrong short answers for a question, from the answers to the task's other questions.

    Preferred in this order: answers of the same kind to questions with the same first words, of
    the same kind, any. With `labels` (a closed set) only labels are given, and never yes or no.
    """

    def __init__(self, labels: Sequence[str] | None = None) -> None:
        self._groups: dict[Key, _Group] = {}
        self._shown: dict[str, str] = {}
        self._allowed = None if labels is None else {normalise(label) for label in labels}
        for label in labels or ():
            if not is_yes_no(label):
                self._add(label, _keys("", label)[1:])

    def add(self, fact: Fact) -> None:
        """Take in a fact's answer, if it is a short one and among the labels."""
        named = self._allowed is None or normalise(fact.answer) in self._allowed
        if fact.native is AnswerFormat.SHORT_ANSWER and named:
            self._add(fact.answer, _keys(fact.question, fact.answer))

    def __len__(self) -> int:
        """Number of distinct answers."""
        return len(self._shown)

    def wrong(self, rng: Random, fact: Fact, number: int) -> list[str]:
        """Return up to `number` answers that differ from the right ones and from each other."""
        right = {normalise(it) for it in (fact.answer, *fact.accepted)}
        taken: list[str] = []
        for key in _keys(fact.question, fact.answer):
            group = self._groups.get(key)
            for name in group.draws(rng, number) if group else ():
                if len(taken) == number:
                    break
                if self._differs(name, right) and self._differs(name, taken):
                    taken.append(name)
        return [self._shown[name] for name in taken]

    def _add(self, answer: str, keys: Iterable[Key]) -> None:
        name = normalise(answer)
        self._shown.setdefault(name, answer)
        for key in keys:
            group = self._groups.setdefault(key, _Group())
            group.counts[name] += 1
            group.names = []

    def _differs(self, name: str, others: Iterable[str]) -> bool:
        if self._allowed is not None:
            return name not in others
        return not any(too_close(name, other) for other in others)


def too_close(one: str, two: str) -> bool:
    """Whether two normalised answers might both be right: equal, plural, or part of each other."""
    if one == two or one + "s" == two or two + "s" == one or one + "es" == two or two + "es" == one:
        return True
    words_one, words_two = set(one.split()), set(two.split())
    return words_one <= words_two or words_two <= words_one


def _keys(question: str, answer: str) -> list[Key]:
    kind = _kind(answer)
    head = " ".join(question.casefold().split(None, 2)[:2])
    return [(kind, head), (kind,), ()]


def _kind(answer: str) -> str:
    if any(letter.isdigit() for letter in answer):
        return "number"
    if answer.isupper():
        return "capitals"
    return "phrase" if answer.count(" ") > 1 else "word"
