"""Small builders that tests of evaluation share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asd_rewriter.cards import Metric, TaskCard
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.samples import Sample, Turn
from eval.forgetting import Answered
from eval.gate import GatePolicy, GateVerdict, TaskEvidence, judge
from eval.items import EvalItem
from eval.matrix import AccuracyMatrix, Cell, MatrixRow
from eval.scoring import score_item


def card(name: str = "colours", metric: Metric = "exact_match", **fields: object) -> TaskCard:
    """Return a short-answer card."""
    values = {"name": name, "answer_format": "short_answer", "metric": metric, **fields}
    return TaskCard.model_validate(values)


def sample(number: int, *answers: str, images: tuple[str, ...] = ()) -> Sample:
    """Return a sample with one turn per answer."""
    turns = tuple(
        Turn(question=f"question {number}.{k}?", answer=text, format=AnswerFormat.SHORT_ANSWER)
        for k, text in enumerate(answers or ("red",))
    )
    return Sample(id=f"s{number}", images=images, turns=turns)


def item(
    number: int = 0,
    reference: str = "red",
    task: str = "colours",
    metric: Metric = "exact_match",
    images: tuple[str, ...] = (),
) -> EvalItem:
    """Return an item; its prompt names the number."""
    return EvalItem(
        id=f"s{number}#0",
        task=task,
        images=images,
        question=f"question {number}?",
        prompt=f"question {number}?\nAnswer.",
        references=(reference,),
        format=AnswerFormat.SHORT_ANSWER,
        metric=metric,
    )


def answered(items: Sequence[EvalItem], answers: Mapping[str, str]) -> dict[str, Answered]:
    """Return answers with their scores by task, as far as there are answers."""
    scores: dict[str, dict[str, float]] = {it.task: {} for it in items}
    for it in items:
        if it.digest in answers:
            scores[it.task][it.digest] = score_item(it, answers[it.digest])
    return {task: Answered(answers, of_task) for task, of_task in scores.items()}


def matrix_of(
    tasks: Sequence[str],
    rows: Sequence[Sequence[float | None]],
    zero_shot: Sequence[float | None] = (),
    *,
    n: int,
    stream: str = "stream",
) -> AccuracyMatrix:
    """Return a matrix from points: of the base, then of stages 1..T; None is a hole."""

    def cells(points: Sequence[float | None]) -> dict[str, Cell]:
        named = zip(tasks, points, strict=False)
        return {
            task: Cell(accuracy=value, n=n, metric="exact_match")
            for task, value in named
            if value is not None
        }

    learned = [(None, zero_shot), *zip(tasks, rows, strict=False)]
    built = [
        MatrixRow(version=f"{stream}@{stage}", task=task, cells=cells(points))
        for stage, (task, points) in enumerate(learned)
    ]
    return AccuracyMatrix(tasks=tuple(tasks), rows=tuple(built))


def upto(matrix: AccuracyMatrix, stage: int) -> AccuracyMatrix:
    """Return the matrix as it was after a stage."""
    return AccuracyMatrix(tasks=matrix.tasks, rows=matrix.rows[: stage + 1])


def three_tasks(n: int = 200) -> AccuracyMatrix:
    """Return a base and three versions: science loses 17.5 points, classes 5.5, in the end."""
    return matrix_of(
        ["classes", "science", "counts"],
        [[91.5], [64.0, 88.5], [58.5, 71.0, 79.0]],
        [8.0, 25.5, 31.0],
        n=n,
        stream="demo",
    )


def verdict_of(matrix: AccuracyMatrix, **policy: float) -> GateVerdict:
    """Return the gate's verdict on a matrix's last row, as few items as can be changing."""
    row, parent = matrix.rows[-1], matrix.rows[-2]

    def scores(cell: Cell) -> list[float]:
        right = round(cell.accuracy * cell.n / 100)
        return [1.0] * right + [0.0] * (cell.n - right)

    evidence = {
        task: TaskEvidence(scores(parent.cells[task]), scores(row.cells[task]))
        for task in matrix.old_tasks
    }
    return judge(
        evidence,
        GatePolicy.model_validate(policy),
        version=row.version,
        parent=parent.version,
    )
