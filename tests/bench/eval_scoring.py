"""How many answers a second one core scores: eight minicoin tasks in equal shares.

Everything counts that a service does to answers it has: finding an item's digest, normalising
its references once, and `score_items` over every version's answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from time import process_time

from asd_rewriter.cards import TaskCard
from asd_rewriter.samples import Sample, Turn
from eval.items import EvalItem, items_from_samples
from eval.minicoin.tasks import TASKS
from eval.scoring import score_items

ITEMS_PER_TASK = 500
VERSIONS = 10
"""Versions whose answers to the same items are scored, as the rows of a matrix are."""
VOTES = 10
_STYLES = (
    "{answer}", "{answer}", "{answer}.", "{other}", "The answer is {answer}.",
    "It is {other}, because of what the picture shows.", "I can't tell (no. {number})", "",
)  # fmt: skip


def minicoin_items(seed: int, per_task: int = ITEMS_PER_TASK) -> dict[str, list[EvalItem]]:
    """Return fresh items of the eight tasks by task; a soft score has ten votes."""
    return {name: list(_items(name, Random(f"{seed}{name}"), per_task)) for name in TASKS}


def _items(name: str, rng: Random, count: int) -> Iterator[EvalItem]:
    task = TASKS[name]
    card = TaskCard(name=name, answer_format=task.answer_format, metric=task.metric)  # type: ignore[arg-type]
    samples = []
    for number in range(count):
        made = task.make(rng)
        answers = [made.answer] * (VOTES - 2) + ["unanswerable", f"{made.answer}s"]
        turn = Turn(
            question=f"{made.question} ({number})",
            answer=made.answer,
            format=task.answer_format,
            references=tuple(answers) if task.metric == "vqa_soft" else (),
        )
        samples.append(Sample(id=f"{name}-{number}", turns=(turn,)))
    yield from items_from_samples(samples, card)


def answers_to(items: Sequence[EvalItem], rng: Random) -> list[str]:
    """Return one answer per item: right, wrong, in a sentence, refused or empty."""
    known = [item.references[0] for item in items]
    return [
        rng.choice(_STYLES).format(
            answer=item.references[0], other=rng.choice(known), number=rng.randrange(10_000)
        )
        for item in items
    ]


def answers_per_s_core(seed: int = 0) -> float:
    """Return answers scored per second of one core's time, from fresh items to `TaskScores`."""
    tasks = minicoin_items(seed)
    rng = Random(seed)
    texts = {
        name: [answers_to(items, rng) for _ in range(VERSIONS)] for name, items in tasks.items()
    }
    scored, began = 0, process_time()
    for version in range(VERSIONS):
        for name, items in tasks.items():
            answers = {
                item.digest: text for item, text in zip(items, texts[name][version], strict=True)
            }
            scored += score_items(items, answers).n
    return scored / (process_time() - began)
