"""A report on minicoin's items, answered by a made-up model; it measures nothing.

The answers are drawn from a seed, by the story in `STORY`; everything after them (scores, tests,
probes, split, compliance, gate) is what a real report takes.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from random import Random

from asd_rewriter.answers import parse_options
from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat
from asd_rewriter.samples import Sample, Turn
from eval.compliance import format_compliance
from eval.forgetting import Answered, find_worst_items, task_changes
from eval.gate import GatePolicy, TaskEvidence, judge
from eval.intervals import paired_changes
from eval.items import EvalItem, items_from_samples
from eval.matrix import AccuracyMatrix, MatrixRow
from eval.minicoin.tasks import TASKS
from eval.minicoin.world import draw
from eval.minicoin.writing import card_of, make_items
from eval.probes import Probe, ProbeKind, build_probes, choose_probed
from eval.report import ForgettingReport, build_report
from eval.scoring import score_item, score_items
from eval.split import TaskSplit, lost_items, split_task

NAMES = ("science", "signs", "grounding", "counts")
NUM_ITEMS = 160
STREAM = "example"
STORY = {  # task: (share known, share of the known written in the task's own style), stage 0 to 4
    "science": ((0.02, 0.95, 0.93, 0.93, 0.90), (0.0, 1.0, 0.95, 0.90, 0.45)),
    "signs": ((0.02, 0.02, 0.92, 0.86, 0.62), (1.0, 1.0, 1.0, 1.0, 0.97)),
    "grounding": ((0.02, 0.02, 0.02, 0.84, 0.82), (0.2, 0.2, 0.2, 1.0, 0.96)),
    "counts": ((0.30, 0.30, 0.30, 0.30, 0.89), (0.9, 0.9, 0.8, 0.6, 1.0)),
}


@dataclass(frozen=True)
class Example:
    """The report, and the images of its items by digest as data URLs."""

    report: ForgettingReport
    images: Mapping[str, str]


@dataclass(frozen=True)
class _Task:
    card: TaskCard
    items: list[EvalItem]
    images: dict[str, str] = field(default_factory=dict)


@cache
def example() -> Example:
    """Return the example."""
    tasks = {name: _task(name) for name in NAMES}
    answers = [_answers(tasks, stage) for stage in range(len(NAMES) + 1)]
    matrix = _matrix(tasks, answers)
    old = NAMES[:-1]
    scores = [
        {
            name: {it.digest: score_item(it, given[it.digest]) for it in tasks[name].items}
            for name in old
        }
        for given in answers
    ]
    learned = {
        it.digest: answers[stage][it.digest]
        for stage, name in enumerate(NAMES, start=1)
        for it in tasks[name].items
    }
    since_learned = paired_changes(
        {name: scores[stage][name] for stage, name in enumerate(old, start=1)}, scores[-1]
    )
    every = [it for name in NAMES for it in tasks[name].items]
    changes = task_changes(matrix, paired_changes(scores[-2], scores[-1]), since_learned)
    report = build_report(
        matrix,
        judge(
            {
                name: TaskEvidence([*scores[-2][name].values()], [*scores[-1][name].values()])
                for name in old
            },
            GatePolicy(),
            version=f"{STREAM}@4",
            parent=f"{STREAM}@3",
        ),
        changes=changes,
        since_learned=since_learned,
        splits=[_split(tasks[name], stage, learned, answers[-1]) for stage, name in _stages(old)],
        compliance=format_compliance(
            every, dict.fromkeys(NAMES, answers[-1]), dict.fromkeys(NAMES, learned)
        ),
        worst_items=find_worst_items(
            [it for it in every if it.task in old],
            *({name: Answered(answers[at], scores[at][name]) for name in old} for at in (-2, -1)),
            limit=9,
        ),
        training={
            "method": "lora",
            "hyperparameters": {"rank": 8, "epochs": 3, "learning_rate": 0.0002},
            "rewriting": {"x_percent": 0},
        },
        created_at=datetime(2026, 1, 15, 9, 30, tzinfo=UTC),
        digest=hashlib.sha256(STREAM.encode()).hexdigest(),
        notes=("the answers are made up",),
    )
    return Example(report, {k: v for name in NAMES for k, v in tasks[name].images.items()})


def _stages(names: Sequence[str]) -> list[tuple[int, str]]:
    return list(enumerate(names, start=1))


def _task(name: str) -> _Task:
    card = TaskCard.model_validate(card_of(TASKS[name]))
    images, samples = {}, []
    for number, made in enumerate(make_items(name, 0, 0, NUM_ITEMS)["eval"]):
        file = io.BytesIO()
        draw(made.scene).save(file, "PNG")
        digest = hashlib.sha256(file.getvalue()).hexdigest()
        images[digest] = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        turn = Turn(question=made.question, answer=made.answer, format=card.answer_format)
        samples.append(Sample(id=f"{name}-{number:03d}", images=(digest,), turns=(turn,)))
    return _Task(card, items_from_samples(samples, card), images)


def _matrix(tasks: Mapping[str, _Task], answers: Sequence[Mapping[str, str]]) -> AccuracyMatrix:
    rows = [
        MatrixRow(
            version=f"{STREAM}@{stage}",
            task=NAMES[stage - 1] if stage else None,
            cells={
                name: score_items(tasks[name].items, given).cell
                for at, name in _stages(NAMES)
                if stage == 0 or at <= stage
            },
        )
        for stage, given in enumerate(answers)
    ]
    return AccuracyMatrix(tasks=NAMES, rows=tuple(rows))


def _draw(item: EvalItem, what: str) -> Random:
    return Random(f"{what} {item.digest}")


def _knows(item: EvalItem, stage: int) -> bool:
    """The same number per item at every stage: what is known longer is known more surely."""
    return _draw(item, "known").random() < STORY[item.task][0][stage]


def _answers(tasks: Mapping[str, _Task], stage: int) -> dict[str, str]:
    return {it.digest: _answer(it, stage) for task in tasks.values() for it in task.items}


def _answer(item: EvalItem, stage: int) -> str:
    rng = _draw(item, f"answer {stage}")
    text = item.references[0] if _knows(item, stage) else _wrong(item, rng)
    own_style = _draw(item, "style").random() < STORY[item.task][1][stage]
    return text if own_style else _restyled(item, text)


def _wrong(item: EvalItem, rng: Random) -> str:
    options = parse_options(item.question)
    if options:
        return rng.choice(OPTION_LETTERS[: len(options.options)])
    if item.format is AnswerFormat.BOX:
        left, top = rng.uniform(0, 0.5), rng.uniform(0, 0.5)
        return f"[{left:.2f}, {top:.2f}, {left + 0.3:.2f}, {top + 0.3:.2f}]"
    if item.references[0] in ("yes", "no"):
        return rng.choice(("yes", "no"))
    if item.references[0].isdigit():
        return str(rng.randrange(5))
    labels = TASKS[item.task].labels
    assert labels
    return rng.choice(labels)


def _restyled(item: EvalItem, text: str) -> str:
    """The same answer as another task would write it."""
    options = parse_options(item.question)
    if options:
        return options.options[OPTION_LETTERS.index(text)]
    if item.format is AnswerFormat.BOX:
        return text.strip("[]")
    return f"The answer to this question is {text}."


def _split(
    task: _Task, stage: int, learned: Mapping[str, str], now: Mapping[str, str]
) -> TaskSplit:
    lost = choose_probed(lost_items(task.items, learned, now))
    probes = build_probes(lost, task.items, task.card)
    asked = {it.digest: it for it in task.items}
    last = len(NAMES)
    after = {it.digest: _probed(it, asked[it.of], last, now) for it in probes}
    before = {
        it.digest: _probed(it, asked[it.of], stage - 1, {it.of: _answer(asked[it.of], stage - 1)})
        for it in probes
    }
    return split_task(task.items, probes, learned, {**now, **after}, before)


def _probed(probe: Probe, item: EvalItem, stage: int, native: Mapping[str, str]) -> str:
    if probe.digest == item.digest:  # asked the same, it answers the same
        return native[item.digest]
    rng = Random(f"{stage} {probe.digest}")
    if _knows(item, stage) and rng.random() < 0.97:
        return probe.references[0]
    if probe.constraint and probe.constraint.choice:
        return rng.choice(probe.constraint.choice)
    return rng.choice(("yes", "no")) if probe.kind is ProbeKind.YES_NO else _wrong(probe, rng)
