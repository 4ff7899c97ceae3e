"""The forgetting report of a run without a service, and the files it is kept in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from asd_rewriter.output import staged
from eval.errors import ItemImageMissing
from eval.evidence import TaskEvidence
from eval.export import accuracy_csv
from eval.forgetting import Answered, WorstItem, find_worst_items, task_changes
from eval.gate import GatePolicy, GateVerdict, judge
from eval.images import data_url
from eval.intervals import PairedChange, paired_changes
from eval.matrix import AccuracyMatrix
from eval.report import ForgettingReport, build_report
from eval.report_markdown import to_markdown
from eval.report_page import report_html
from eval.results.run import counted
from eval.results.scored import ScoredRun, refuse_holes
from eval.results.style import compliance_of_run, splits_of_run


@dataclass(frozen=True)
class RunReport:
    """A report with what belongs to it.

    Args:
        report: of the run's last version.
        images: `data:` URLs by digest, of the worst items.
        notes: what the reader should know.
    """

    report: ForgettingReport
    images: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def json(self) -> str:
        """Return the report as JSON."""
        return self.report.model_dump_json(indent=2) + "\n"

    def markdown(self) -> str:
        """Return the report as Markdown."""
        return to_markdown(self.report)

    def html(self) -> str:
        """Return the report as one self-contained page."""
        return report_html(self.report, self.images)

    def csv(self) -> str:
        """Return the accuracy matrix as CSV: a line a measured cell, points with 95 % interval."""
        return accuracy_csv(self.report.matrix)

    def write(self, out: str | Path) -> list[Path]:
        """Write all of them into a new folder, which appears whole; return the files.

        Raises:
            OutputRefused: if the folder is not empty or cannot be made.
        """
        made = {
            "report.json": self.json(),
            "report.md": self.markdown(),
            "report.html": self.html(),
            "matrix.csv": self.csv(),
        }
        with staged(Path(out)) as folder:
            for name, text in made.items():
                (folder / name).write_text(text, encoding="utf-8")
        return [Path(out) / name for name in made]


def report_of_run(scored: ScoredRun, policy: GatePolicy, images: Path | None) -> RunReport:
    """Return the report of a scored run; raises MatrixHole where results are missing."""
    matrix = scored.matrix()
    worst, urls = _with_images(_worst(scored), scored, images)
    training: dict[str, JsonValue] = {
        **scored.run.training,
        "results": f"{scored.run.layout} folder {scored.run.name}",
        "scorers": [*sorted({it.scorer for it in scored.scores.values()})],
    }
    splits, untold = splits_of_run(scored)
    notes = [*scored.notes, *untold, *_of_whole_sets(scored)]
    since_parent, since_learned = _changes(scored)
    report = build_report(
        matrix,
        _verdict(scored, policy),
        changes=task_changes(matrix, since_parent, since_learned),
        since_learned=since_learned,
        splits=splits,
        compliance=compliance_of_run(scored),
        worst_items=worst,
        training=training,
        notes=notes,
    )
    return RunReport(report, urls, (scored.run.said(), *notes))


def report_of_matrix(matrix: AccuracyMatrix, path: Path) -> RunReport:
    """Return the report of a matrix given as numbers; it is not judged and shows no items."""
    learned = matrix.learned_tasks
    refuse_holes(
        path,
        matrix.tasks,
        matrix.num_learned,
        {(stage, task) for stage, row in enumerate(matrix.rows) for task in row.cells},
        lambda stage, task: f"row {stage} ({learned[stage - 1]}), column {task!r}",
        "Fill them in.",
    )
    said = f"{counted(len(matrix.tasks), 'task')} and {counted(matrix.num_learned, 'stage')}"
    report = build_report(matrix, None, training={"results": f"matrix in {path.name}"})
    return RunReport(report, notes=(f"read a matrix of {said}; {NO_ITEM_SCORES}",))


NO_ITEM_SCORES = "without each item's score there is no gate verdict and no item to show"


def _changes(scored: ScoredRun) -> tuple[dict[str, PairedChange], dict[str, PairedChange]]:
    """Return each old task's change since the stage before, and since the stage that learned it.

    Where points are no mean of the items' scores, pairs of these are not the points' change.
    """
    last, old = scored.run.last_stage, scored.run.tasks[: scored.run.last_stage - 1]
    paired = [task for task in old if scored.scores[last, task].whole_set is None]
    now = {task: scored.scores[last, task].scores for task in paired}
    parent = {task: scored.scores[last - 1, task].scores for task in paired}
    learned = {task: scored.scores[old.index(task) + 1, task].scores for task in paired}
    return paired_changes(parent, now), paired_changes(learned, now)


def _of_whole_sets(scored: ScoredRun) -> list[str]:
    """Return notes on tasks whose points are no mean of their items' scores."""
    most: dict[str, float] = {}
    for (_, task), found in scored.scores.items():
        if found.whole_set is not None:
            most[task] = max(found.whole_set, most.get(task, 0.0))
    return [
        f"{task}: its points are the published figure of the whole set"
        + (f" (up to {points:.1f}, shown as 100)" if points > 100 else "")
        + ": changes are not tested on pairs, and the gate judges single answers"
        for task, points in most.items()
    ]


def _verdict(scored: ScoredRun, policy: GatePolicy) -> GateVerdict:
    """Judge the last version against the one before it on paired items; none is left to ask."""
    last = scored.run.last_stage
    evidence = {
        task: TaskEvidence.paired(scored.scores[last - 1, task], scored.scores[last, task])
        for task in scored.run.tasks[: last - 1]
    }
    version, parent = scored.run.version(last), scored.run.version(last - 1)
    return judge(evidence, policy, version=version, parent=parent, served=False)


def _worst(scored: ScoredRun) -> list[WorstItem]:
    last, old = scored.run.last_stage, scored.run.tasks[: scored.run.last_stage - 1]
    items = [item for task in old for item in scored.items[task]]
    before, now = (
        {task: Answered(scored.answers[at, task], scored.scores[at, task].scores) for task in old}
        for at in (last - 1, last)
    )
    return find_worst_items(items, before, now)


def _with_images(
    worst: Sequence[WorstItem], scored: ScoredRun, root: Path | None
) -> tuple[list[WorstItem], dict[str, str]]:
    """Return the items with the digests of their images, and these; what is not found is left out.

    Until here an item's digest stands for its image's name, see `items_of`.
    """
    shown, urls = [], dict[str, str]()
    for item in worst:
        name = scored.images.get((item.task, item.item_id))
        content = _inside(root, name) if root is not None and name else None
        digests: tuple[str, ...] = ()
        if content is not None:
            digests = (hashlib.sha256(content).hexdigest(),)
            with suppress(ItemImageMissing):
                urls[digests[0]] = data_url(content, str(name))
        shown.append(item.model_copy(update={"images": digests}))
    return shown, urls


def _inside(root: Path, name: str) -> bytes | None:
    try:
        path = (root / name).resolve()
        return path.read_bytes() if path.is_relative_to(root.resolve()) else None
    except (OSError, ValueError, RuntimeError):  # a name with NUL, a loop of links
        return None
