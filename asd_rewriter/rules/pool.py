"""The task's own answers as a pool of wrong ones: same kind of question, same kind of answer."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from random import Random

from asd_rewriter.answers import is_yes_no, normalise
from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rules.kinds import fits, head_of, is_open, kind_of, sort_of
from asd_rewriter.rules.sameness import too_close

MAX_ANSWERS = 200_000
"""Most distinct answers that are kept; of more, a seeded uniform sample."""
_KEPT = 0.9
_PAIRS_PER_ANSWER = 2
_SMALL = 64
_NEAR = 4
_NUMBERS = ("number", "count", "year")
Key = tuple[str, str]
ANY = ("", "")


@dataclass(frozen=True)
class _Group:
    """Answers by number in the pool; `sums` accumulate the square roots of their frequencies.

    `values` are the whole numbers among them, sorted, with their answers.
    """

    members: array[int]
    sums: array[float]
    values: list[tuple[int, int]]

    def draws(self, rng: Random, number: int) -> list[int]:
        """Return some members at random, frequent ones more often."""
        members, sums, end = self.members, self.sums, self.sums[-1]
        return [members[bisect_right(sums, rng.random() * end)] for _ in range(2 * number + 4)]

    def rest(self, rng: Random) -> list[int]:
        """Return all members of a small group, in random order."""
        if len(self.members) > _SMALL:
            return []
        return rng.sample(self.members, len(self.members))

    def near(self, rng: Random, value: int, number: int) -> list[int]:
        """Return members whose values are near, in random order, the nearest ones first."""
        at = bisect_left(self.values, (value, -1))
        width = max(_NEAR, number)
        found = [it for _, it in self.values[max(0, at - width) : at + width + 1]]
        return rng.sample(found, len(found))


class AnswerPool:
    """Wrong short answers for a question, from the answers to the task's other questions.

    Preferred in this order: answers of the same kind to questions that begin alike, of the same
    sort (animal, price), of the same kind, any; among those, similar lengths, and near values for
    numbers. A question that begins like "What is" wants the same sort first. With `labels` (a
    closed set) only labels are given, and never yes or no.
    """

    def __init__(self, labels: Sequence[str] | None = None, seed: int = 0) -> None:
        self._seed = seed.to_bytes(8, "big")
        self._numbers: dict[str, int] = {}
        self._shown: dict[int, str] = {}
        self._counts = array("I")
        self._pairs: dict[Key, dict[int, int]] = {}
        self._pairs_left = _PAIRS_PER_ANSWER * MAX_ANSWERS
        self._limit: int | None = None
        self._names: list[str] = []
        self._groups: dict[Key, _Group] = {}
        self._sorted = False
        self._allowed = None if labels is None else {normalise(label) for label in labels}
        for label in labels or ():
            if not is_yes_no(label):
                self._add(label, "")

    def __len__(self) -> int:
        """Number of distinct answers."""
        return len(self._numbers)

    def add(self, fact: Fact) -> None:
        """Take in a fact's answer, if it is a short one and among the labels."""
        if fact.native is not AnswerFormat.SHORT_ANSWER:
            return
        if self._allowed is None or normalise(fact.answer) in self._allowed:
            self._add(fact.answer, head_of(fact.question))

    def wrong(
        self,
        rng: Random,
        fact: Fact,
        number: int,
        taken: Sequence[str] = (),
        suits: Callable[[str], bool] | None = None,
        trusts: bool = True,
    ) -> list[str]:
        """Return up to `number` answers that differ from the right ones and from each other.

        Those `taken` already, in words, come first and count. `suits` tells whether an answer
        reads well as one to the question; others come late. `trusts`: answers to questions that
        begin alike are taken to suit, where the beginning tells of its answers ("What color").
        """
        self._freeze()
        right = {normalise(it) for it in (fact.answer, *fact.accepted)}
        names = [normalise(it) for it in taken]
        found = list(taken)
        late: tuple[list[int], list[int]] = [], []
        for member, alike in self._ordered(rng, fact, number - len(found)):
            if len(found) >= number:
                return found
            name = self._names[member]
            if not (self._differs(name, right) and self._differs(name, names)):
                continue
            text = self._shown.get(member, name)
            if not fits(fact, name):
                late[1].append(member)
            elif suits is not None and not (alike and trusts) and not suits(text):
                late[0].append(member)
            else:
                names.append(name)
                found.append(text)
        return found + self._rest([*late[0], *late[1]], names, number - len(found))

    def _ordered(self, rng: Random, fact: Fact, number: int) -> Iterable[tuple[int, bool]]:
        """Yield candidates, the most plausible ones first, and whether their question tells so."""
        if not number:
            return
        kind, head, sort = kind_of(fact.answer), head_of(fact.question), sort_of(fact.answer)
        alike = self._candidates((kind, head), rng, fact.answer, number)
        if sort and (is_open(head) or kind == "number"):
            others = []
            for member in alike:
                if sort_of(self._shown.get(member, self._names[member])) == sort:
                    yield member, not is_open(head)
                else:
                    others.append(member)
            yield from self._untold(self._of_sort(sort, rng, fact.answer, number))
            yield from self._untold(others)
        else:
            yield from ((member, not is_open(head)) for member in alike)
            if sort:
                yield from self._untold(self._of_sort(sort, rng, fact.answer, number))
        yield from self._untold(self._candidates((kind, ""), rng, fact.answer, number))
        yield from self._untold(self._candidates(ANY, rng, fact.answer, number))

    def _untold(self, members: Iterable[int]) -> Iterable[tuple[int, bool]]:
        return ((member, False) for member in members)

    def _of_sort(self, sort: str, rng: Random, answer: str, number: int) -> Iterable[int]:
        if not self._sorted:
            self._sorted = True
            self._group_all(sort_of, "sort of")
        return self._candidates((sort, "sort of"), rng, answer, number)

    def _rest(self, members: Sequence[int], names: list[str], number: int) -> list[str]:
        """Return poor answers, where nothing better is left."""
        found: list[str] = []
        for member in members:
            name = self._names[member]
            if len(found) < number and self._differs(name, names):
                names.append(name)
                found.append(self._shown.get(member, name))
        return found

    def _candidates(self, key: Key, rng: Random, answer: str, number: int) -> Iterable[int]:
        group = self._group(key) if number else None
        if group is None:
            return
        if key[0] in _NUMBERS and (value := _value(normalise(answer))) is not None:
            yield from group.near(rng, value, number)
        names, size = self._names, len(answer)
        drawn = group.draws(rng, number)
        drawn.sort(key=lambda it: abs(len(names[it]) - size) // 4)
        yield from drawn
        yield from group.rest(rng)

    def _add(self, answer: str, head: str) -> None:
        name = normalise(answer)
        number = self._numbers.get(name)
        if number is None:
            if self._limit is not None and self._rank(name) >= self._limit:
                return
            number = self._numbers[name] = len(self._counts)
            self._counts.append(0)
            if name != answer:
                self._shown[number] = answer
        self._counts[number] += 1
        if head:
            self._pair((kind_of(answer), head), number)
        self._names = []
        if len(self._numbers) > MAX_ANSWERS:
            self._thin_out()

    def _pair(self, key: Key, number: int) -> None:
        pairs = self._pairs.setdefault(key, {})
        count = pairs.get(number, 0)
        if count or self._pairs_left:
            pairs[number] = count + 1
            self._pairs_left -= not count

    def _rank(self, name: str) -> int:
        digest = blake2b(name.encode(errors="replace"), digest_size=8, key=self._seed).digest()
        return int.from_bytes(digest, "big")

    def _thin_out(self) -> None:
        """Keep the answers of the lowest ranks: a uniform sample, whatever their order."""
        ranks = array("Q", map(self._rank, self._numbers))
        limit = self._limit = sorted(ranks)[int(MAX_ANSWERS * _KEPT)]
        kept = [name for name, rank in zip(self._numbers, ranks, strict=True) if rank < limit]
        places = accumulate(rank < limit for rank in ranks)
        pairs_of = zip(places, ranks, strict=True)
        moved = array("i", (at - 1 if rank < limit else -1 for at, rank in pairs_of))
        # The old tables go before the new ones are made: both would not fit.
        self._numbers = {}
        self._numbers.update((name, at) for at, name in enumerate(kept))
        self._counts = array("I", (n for n, at in zip(self._counts, moved, strict=True) if at >= 0))
        self._shown = {moved[it]: text for it, text in self._shown.items() if moved[it] >= 0}
        for key, pairs in self._pairs.items():
            self._pairs[key] = {moved[it]: n for it, n in pairs.items() if moved[it] >= 0}
        total = sum(map(len, self._pairs.values()))
        self._pairs_left = _PAIRS_PER_ANSWER * MAX_ANSWERS - total

    def _freeze(self) -> None:
        if len(self._names) != len(self._numbers) or not self._names:
            self._names = list(self._numbers)
            self._groups = {}
            self._sorted = False
            self._group_all(kind_of, "")
            every = array("I", range(len(self._names)))
            self._groups[ANY] = self._grouped(every, self._counts)

    def _group_all(self, kind_of_answer: Callable[[str], str], mark: str) -> None:
        by_kind: dict[str, array[int]] = {}
        for number, name in enumerate(self._names):
            if kind := kind_of_answer(self._shown.get(number, name)):
                by_kind.setdefault(kind, array("I")).append(number)
        for kind, members in by_kind.items():
            self._groups[kind, mark] = self._grouped(members, self._counts)

    def _group(self, key: Key) -> _Group | None:
        group = self._groups.get(key)
        if group is None and (pairs := self._pairs.get(key)):
            group = self._groups[key] = self._grouped(array("I", sorted(pairs)), pairs)
        return group if group is not None and group.members else None

    def _grouped(self, members: array[int], counts: dict[int, int] | array[int]) -> _Group:
        sums = array("d", accumulate(counts[it] ** 0.5 for it in members))
        values = [(value, it) for it in members if (value := _value(self._names[it])) is not None]
        return _Group(members, sums, sorted(values))

    def _differs(self, name: str, others: Iterable[str]) -> bool:
        if self._allowed is not None:
            return name not in others
        return not any(too_close(name, other) for other in others)


def _value(name: str) -> int | None:
    return int(name) if name.isdecimal() and len(name) < 10 else None
