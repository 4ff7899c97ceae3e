"""Asking a lost item again: leniently, with the answer forced, and in other answer formats.

A probe is an item itself, so that any predictor answers it. Several probes may belong to one
question (`kind`): only if all of them are answered right has it come back.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from random import Random

from asd_rewriter.cards import Metric, TaskCard
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat, parse_options, with_instruction
from asd_rewriter.rules.forms import OtherForms
from asd_rewriter.samples import Turn
from eval.items import MAX_CHOICE_LENGTH, Constraint, EvalItem
from eval.scorers import forgives_more
from eval.scoring import score_item

MAX_PROBED = 64
"""Items of a task that are asked again, unless told otherwise."""
MAX_QUESTIONS = 8
"""Most questions that one item takes: leniently 1, forced 1, yes or no 2, choice 4."""
POOL_SIZE = 64
"""Most answers that a forced one is chosen from; of more, a seeded sample with the right one."""
_PART = r"(0(\.[0-9]{1,3})?|1(\.0{1,3})?)"
BOX_REGEX = rf"\[{_PART}, {_PART}, {_PART}, {_PART}\]"


class ProbeKind(StrEnum):
    """How a lost item is asked again.

    `lenient` is the item itself, its answer scored leniently; `forced` the item with the answer
    space of its native format enforced; `yes_no` both polarities; `choice` every place of the
    right option among up to four.
    """

    LENIENT = "lenient"
    FORCED = "forced"
    YES_NO = "yes_no"
    CHOICE = "choice"


ALL_KINDS = tuple(ProbeKind)
FREE_KINDS = tuple(kind for kind in ProbeKind if kind is not ProbeKind.FORCED)
"""Those that need no structured decoding."""


class Probe(EvalItem):
    """One question of a probe.

    `of` is the digest of the item that is asked again; `rivals` are other answers of its task: a
    lenient reading accepts no text that names one.
    """

    kind: ProbeKind
    of: str
    rivals: tuple[str, ...] = ()


def choose_probed(
    lost: Iterable[EvalItem], limit: int = MAX_PROBED, seed: int = 0
) -> list[EvalItem]:
    """Return at most `limit` (>= 1) distinct items, the same for the same items and seed.

    A larger limit keeps the items of a smaller one.

    Raises:
        ValueError: if `limit` is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1: got {limit}.")
    distinct = {item.digest: item for item in lost}
    ranked = sorted(distinct, key=lambda digest: _rank(seed, digest))
    return [distinct[digest] for digest in ranked[:limit]]


def build_probes(
    items: Sequence[EvalItem],
    task_items: Sequence[EvalItem],
    card: TaskCard,
    kinds: Sequence[ProbeKind] = ALL_KINDS,
    seed: int = 0,
) -> list[Probe]:
    """Return the questions that ask items again, item by item.

    They depend on the task, the item and the seed only, so that all versions are asked the same.
    A kind that an item does not allow is left out for it: captions and explanations have no forced
    answer and no other format, yes/no questions no second polarity, and where the metric forgives
    style by itself a lenient reading tells nothing. An item with none of them is not asked again.

    Args:
        items: what is asked again, see `choose_probed`.
        task_items: all evaluation items of the task; their answers are the wrong ones of others,
            and the answers to choose from where the card has no labels.
        card: the task's; gives labels, instruction wordings, the OCR line.
        kinds: those wanted; `FREE_KINDS` for a predictor that does not constrain.
        seed: of wrong answers and pools.
    """
    maker = _Maker(task_items, card, seed)
    return [probe for item in items for probe in maker.probes(item, kinds)]


def probe_score(probe: Probe, answer: str) -> float:
    """Return the score in [0, 1] of an answer to a probe: lenient, unless the answer was forced."""
    if probe.kind is ProbeKind.FORCED:
        return score_item(probe, answer)
    return score_item(probe, answer, "lenient", probe.rivals)


def turn_of(item: EvalItem) -> Turn:
    """Return the item as a native turn; of several votes the most frequent is the answer."""
    counted = [text for text, _ in Counter(item.references).most_common()]
    return Turn(
        question=item.question,
        answer=counted[0],
        format=item.format,
        references=tuple(counted[1:]),
    )


class _Maker:
    def __init__(self, task_items: Sequence[EvalItem], card: TaskCard, seed: int) -> None:
        self._card, self._seed = card, seed
        self._forms = OtherForms(card, seed)
        answers = []
        for turn in map(turn_of, task_items):
            self._forms.learn(turn)
            if turn.format is AnswerFormat.SHORT_ANSWER and len(turn.answer) <= MAX_CHOICE_LENGTH:
                answers.append(turn.answer)
        self._pool = sorted(set(card.labels or answers))

    def probes(self, item: EvalItem, kinds: Sequence[ProbeKind]) -> Iterator[Probe]:
        turn = turn_of(item)
        if ProbeKind.LENIENT in kinds and forgives_more(item.metric):
            yield _probe(item, ProbeKind.LENIENT, rivals=self._rivals(item, turn))
        if ProbeKind.FORCED in kinds and (space := self._space(item, turn)) is not None:
            yield _probe(item, ProbeKind.FORCED, constraint=space)
        if ProbeKind.YES_NO in kinds:
            turns = self._forms.both_polarities(item.digest, turn)
            yield from self._asked(item, ProbeKind.YES_NO, turns, "exact_match")
        if ProbeKind.CHOICE in kinds:
            turns = self._forms.all_orders(item.digest, turn)
            yield from self._asked(item, ProbeKind.CHOICE, turns, "option_letter")

    def _asked(
        self, item: EvalItem, kind: ProbeKind, turns: Sequence[Turn], metric: Metric
    ) -> Iterator[Probe]:
        for number, turn in enumerate(turns):
            yield _probe(
                item,
                kind,
                id=f"{item.id}/{kind}/{number}",
                question=turn.question,
                prompt=with_instruction(turn.question, turn.format, self._card.instructions),
                references=(turn.answer,),
                format=turn.format,
                metric=metric,
            )

    def _space(self, item: EvalItem, turn: Turn) -> Constraint | None:
        """Return the answers that the item's native format allows, or None where any is."""
        match item.format:
            case AnswerFormat.BOX:
                return Constraint(regex=BOX_REGEX)
            case AnswerFormat.YES_NO:
                return Constraint(choice=("yes", "no"))
            case AnswerFormat.MULTIPLE_CHOICE:
                listed = parse_options(item.question)
                return _choice(OPTION_LETTERS[: len(listed.options)]) if listed else None
            case AnswerFormat.SHORT_ANSWER:
                return _choice(self._answers(item, turn.answer))
        return None

    def _rivals(self, item: EvalItem, turn: Turn) -> tuple[str, ...]:
        if item.format is not AnswerFormat.SHORT_ANSWER:
            return ()
        return tuple(it for it in self._answers(item, turn.answer) if it not in item.references)

    def _answers(self, item: EvalItem, answer: str) -> list[str]:
        """Return the task's labels, or the right answer among a seeded sample of the others."""
        if len(self._pool) <= POOL_SIZE and answer in self._pool:
            return self._pool
        size = min(len(self._pool), POOL_SIZE - 1 + len(item.references))
        drawn = Random(f"{self._seed}:{item.digest}").sample(self._pool, size)
        others = [it for it in drawn if it not in item.references]
        return sorted([answer, *others[: POOL_SIZE - 1]])


def _probe(item: EvalItem, kind: ProbeKind, **changes: object) -> Probe:
    own: dict[str, object] = {"id": f"{item.id}/{kind}", "kind": kind, "of": item.digest}
    fields = {name: getattr(item, name) for name in EvalItem.model_fields}
    return Probe.model_validate(fields | own | changes)


def _choice(texts: Sequence[str]) -> Constraint | None:
    fits = len(texts) > 1 and all(0 < len(it) <= MAX_CHOICE_LENGTH for it in texts)
    return Constraint(choice=tuple(texts)) if fits else None


def _rank(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()
