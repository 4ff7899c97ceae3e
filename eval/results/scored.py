"""A run with every answer scored: what tables, matrices and reports are made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from asd_rewriter.output import staged
from eval.errors import MatrixHole
from eval.items import EvalItem
from eval.matrix import AccuracyMatrix, MatrixRow
from eval.results.run import Place, ResultRun
from eval.scorers.binding import Mode
from eval.scoring import TaskScores

_SHOWN = 5


class PlaceScore(BaseModel):
    """What one stage scores on one task, in points with its 95 % interval, over n items.

    `empty` counts answers without a word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: int
    version: str
    learned: str | None
    task: str
    metric: str
    scorer: str
    points: float
    low: float
    high: float
    n: int
    empty: int
    file: str


@dataclass(frozen=True)
class ScoredRun:
    """The scores of a run.

    Args:
        run: where its files lie.
        mode: by whose rules answers were scored.
        items: by task, in the order of the references.
        answers: by stage and task: texts by item digest.
        scores: by stage and task.
        images: names of the questions' images, by task and id.
        notes: what the reader should know, such as a scorer that was guessed.
    """

    run: ResultRun
    mode: Mode = "fixed"
    items: dict[str, list[EvalItem]] = field(default_factory=dict)
    answers: dict[Place, dict[str, str]] = field(default_factory=dict)
    scores: dict[Place, TaskScores] = field(default_factory=dict)
    images: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def table(self) -> list[PlaceScore]:
        """Return all scores, by stage and by the order of the tasks."""
        return [self._row(place) for place in self.places()]

    def facts(self) -> dict[str, Any]:
        """Return how the run was read and all scores, as JSON values."""
        return {
            "read": self.run.said(),
            "notes": list(self.notes),
            "scores": [row.model_dump(mode="json") for row in self.table()],
        }

    def write(self, out: str | Path) -> None:
        """Write `scores.json` and each item's score, `items.jsonl`, into a new folder.

        Raises:
            OutputRefused: if the folder is not empty or cannot be made.
        """
        with staged(Path(out)) as folder:
            facts = json.dumps(self.facts(), indent=2, ensure_ascii=False)
            (folder / "scores.json").write_text(facts + "\n", encoding="utf-8")
            with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
                for row in self._item_rows():
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _item_rows(self) -> Iterator[dict[str, Any]]:
        for stage, task in self.places():
            scores, answers = self.scores[stage, task].scores, self.answers[stage, task]
            for item in self.items[task]:
                yield {
                    "stage": stage,
                    "task": task,
                    "id": item.id,
                    "score": scores[item.digest],
                    "answer": answers[item.digest],
                }

    def places(self) -> list[Place]:
        """Return stages and tasks in order."""
        return sorted(self.scores, key=lambda it: (it[0], self.run.tasks.index(it[1])))

    def matrix(self) -> AccuracyMatrix:
        """Return the accuracy matrix: the base, then a row a stage; what has no file is a hole."""
        rows = []
        for stage in range(self.run.last_stage + 1):
            cells = {task: it.cell for (at, task), it in self.scores.items() if at == stage}
            rows.append(
                MatrixRow(
                    version=self.run.version(stage), task=self.run.learned(stage), cells=cells
                )
            )
        return AccuracyMatrix(tasks=self.run.tasks, rows=tuple(rows))

    def _row(self, place: Place) -> PlaceScore:
        stage, task = place
        found = self.scores[place]
        return PlaceScore(
            stage=stage,
            version=self.run.version(stage),
            learned=self.run.learned(stage),
            task=task,
            metric=found.metric,
            scorer=found.scorer,
            points=found.accuracy,
            low=found.cell.interval.low,
            high=found.cell.interval.high,
            n=found.n,
            empty=sum(not text.strip() for text in self.answers[place].values()),
            file=str(self.run.files[place]),
        )


def refuse_holes(
    source: Path,
    tasks: Sequence[str],
    stages: int,
    measured: Collection[Place],
    named: Callable[[int, str], str],
    way_out: str,
) -> None:
    """Refuse what has no report: that needs a task's results from the stage that learned it on.

    Args:
        source: the folder or file that holds the results.
        tasks: in the order of learning.
        stages: how many have learned a task.
        measured: the stages and tasks that have results.
        named: says where the result of a stage and task would be.
        way_out: a sentence that closes the message.

    Raises:
        MatrixHole: if the base is alone, or results are missing; names the first few.
    """
    if stages == 0:
        raise MatrixHole(
            f"{source} holds one state of a model; a report tells what changed from stage to "
            "stage: add the stages (docs/evaluate.md). 'retain eval' scores one state's answers."
        )
    places = [(stage, task) for stage in range(1, stages + 1) for task in tasks[:stage]]
    missing = [named(*place) for place in places if place not in measured]
    if missing:
        more = f"; and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise MatrixHole(
            f"{source} lacks {len(missing)} results: {'; '.join(missing[:_SHOWN])}{more}. A report "
            f"needs every task after the stage that learned it and after all later ones. {way_out}"
        )
