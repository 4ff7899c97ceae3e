"""Minicoin as the trainer takes it: pictures as blobs, corpora as JSON lines, items to ask."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from asd_rewriter.cards import TaskCard
from asd_rewriter.mix import rewrite
from asd_rewriter.plan import RewritePlan
from asd_rewriter.samples import Sample, Turn, write_samples
from eval.items import EvalItem, items_from_samples
from eval.minicoin.tasks import TASKS, Item
from eval.minicoin.world import draw
from eval.minicoin.writing import card_of, make_items
from tests.bench.minicoin_runs.plan import Budget

CANARY_ROWS = 4


class Material:
    """The data of one seed below a folder; made in memory, pictures written once."""

    def __init__(self, folder: Path, seed: int, budget: Budget) -> None:
        """Write blobs and corpora into `folder`."""
        self.blobs = folder / "blobs"
        self._folder, self._seed, self._budget = folder, seed, budget
        self._samples: dict[str, dict[str, list[Sample]]] = {}
        self.blobs.mkdir(parents=True, exist_ok=True)

    def items(self, task: str) -> list[EvalItem]:
        """Return what is asked of a task: every held-out item."""
        return items_from_samples(self._splits(task)["eval"], _card(task))

    def corpus(self, tasks: Sequence[str], asd: bool) -> Path:
        """Return the training rows of the tasks together; with ASD a share is rewritten."""
        rows = [row for task in tasks for row in self._training_rows(task, asd)]
        name = tasks[0] if len(tasks) == 1 else "all"
        path = self._folder / f"{name}{'+asd' if asd else ''}.jsonl"
        write_samples(path, rows)
        return path

    def canary(self, task: str) -> Path:
        """Return the few held-out rows that the trainer's export asks."""
        path = self._folder / f"{task}-canary.jsonl"
        write_samples(path, self._splits(task)["eval"][:CANARY_ROWS])
        return path

    def _training_rows(self, task: str, asd: bool) -> list[Sample]:
        rows = self._splits(task)["train"]
        if not asd:
            return rows
        plan = RewritePlan(x_percent=self._budget.asd_percent, seed=self._seed)
        return rewrite(rows, _card(task), plan).samples

    def _splits(self, task: str) -> dict[str, list[Sample]]:
        if task not in self._samples:
            budget = self._budget
            made = make_items(task, self._seed, budget.num_train, budget.num_eval)
            self._samples[task] = {
                split: [self._sample(f"{task}-{split}-{at:05d}", task, it) for at, it in pairs]
                for split, pairs in ((split, enumerate(its)) for split, its in made.items())
            }
        return self._samples[task]

    def _sample(self, name: str, task: str, item: Item) -> Sample:
        turn = Turn(question=item.question, answer=item.answer, format=TASKS[task].answer_format)
        return Sample(id=name, images=(self._blob(item),), turns=(turn,))

    def _blob(self, item: Item) -> str:
        buffer = io.BytesIO()
        draw(item.scene).save(buffer, "PNG", compress_level=1)
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        path = self.blobs / digest[:2] / digest
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(buffer.getvalue())
        return digest


def _card(task: str) -> TaskCard:
    return TaskCard.model_validate(card_of(TASKS[task]))
