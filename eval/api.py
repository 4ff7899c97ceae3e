"""Scores and forgetting reports of result folders, without a service.

from eval.api import report_run, score_run

for row in score_run("results/CoIN/LLaVA", "annotations").table():
    print(row.version, row.task, row.points, row.n)
report_run("results/CoIN/LLaVA", "annotations").write("report")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack, cast

from asd_rewriter.cards import Metric
from eval.gate import GatePolicy
from eval.items import EvalItem
from eval.refusals import (
    check_satisfiable,
    refuse_idle,
    refuse_one_file,
    refuse_without_task,
)
from eval.results.benchmarks import benchmark_of, metric_in, plain_name
from eval.results.finding import ReferenceFiles, ReferenceSource
from eval.results.opening import open_run
from eval.results.pairing import pair
from eval.results.plain import REFERENCES
from eval.results.predictions import read_predictions
from eval.results.references import guess_metric, items_of, read_references
from eval.results.reporting import RunReport, report_of_matrix, report_of_run
from eval.results.run import ResultRun
from eval.results.scored import ScoredRun, refuse_holes
from eval.results.tables import read_matrix
from eval.scorers import SCORERS
from eval.scoring import score_items

__all__ = ["Reading", "References", "RunReport", "ScoredRun", "report_run", "score_run"]

FULL_VOTES = 10
TABLES = (".csv", ".json")
"""Files with these endings hold a matrix."""

References = str | Path | Sequence[str | Path] | Mapping[str, str | Path] | ReferenceSource
"""Folders or files with the questions and their accepted answers; a mapping names a file a task."""
Tell = Callable[[str, int, int], None]
"""Takes a task's name, how many of the run's files are scored, and of how many."""
Scorers = str | Mapping[str, str]


class Reading(TypedDict, total=False):
    """How results are read and scored.

    Args:
        layout: `retain`, `coin`, `mcitlib` or `prism`; finds out by default.
        tasks: the order of learning, where the folder does not tell it.
        run: which of several runs that lie side by side.
        scorers: a metric for all tasks, or by task (`*` for all others); by default `run.toml`
            decides, then the published benchmark, then the references' form.
        mode: `fixed` rules (default), or `published` ones with their quirks.
        check_prompts: whether predictions that state their prompt must have been asked the
            references' questions (default).
        on_progress: is told how far it is.
    """

    layout: str | None
    tasks: Sequence[str] | None
    run: str | None
    scorers: Scorers | None
    mode: Literal["fixed", "published"]
    check_prompts: bool
    on_progress: Tell | None


def score_run(
    path: str | Path, references: References | None = None, **reading: Unpack[Reading]
) -> ScoredRun:
    """Return the scores of all results in a folder.

    Args:
        path: the folder, or a file of one state's answers to one task.
        references: the accepted answers; by default `references` in the run's folder.
        **reading: see `Reading`.

    Raises:
        ResultsRefused: if the folder or a file in it cannot be read.
        ReferencesRefused: if accepted answers are not found or cannot be used.
        PredictionsMismatch: if predictions lack questions, have others, or repeat one.
        ValueError: if there is no such layout or scorer, no task of that name, or an argument
            would do nothing.
    """
    return _score(_open(path, reading), references, reading)


def report_run(
    path: str | Path,
    references: References | None = None,
    *,
    policy: GatePolicy | None = None,
    images: str | Path | None = None,
    n: int | None = None,
    **reading: Unpack[Reading],
) -> RunReport:
    """Return the forgetting report of a whole run, or of a matrix in a `.csv` or `.json` file.

    Args:
        path: the run's folder, or the matrix; the latter has no item scores, so it is not judged
            by the gate and shows no items.
        references: as in `score_run`.
        policy: the gate's, its defaults by default.
        images: where the references' images are, to be shown with the worst items.
        n: items behind each number of a matrix, where its file does not say.
        **reading: see `Reading`.

    Raises:
        MatrixHole: if results are missing that the report needs; names the files expected.
        What `score_run` raises.
    """
    if Path(path).suffix in TABLES and Path(path).is_file():
        others = {**reading, "references": _places(references), "images": images}
        refuse_idle(others, f"{path} is a matrix of numbers, without answers")
        return report_of_matrix(read_matrix(Path(path), n), Path(path))
    refuse_one_file(Path(path))
    refuse_idle({"n": n}, f"{path} holds single answers, which are counted")
    run = _open(path, reading)
    _refuse_holes(run)
    scored = _score(run, references, reading)
    return report_of_run(scored, policy or GatePolicy(), Path(images) if images else None)


def _open(path: str | Path, reading: Reading) -> ResultRun:
    found = open_run(path, reading.get("layout"), reading.get("tasks"), reading.get("run"))
    if Path(path).is_file():
        names = ("layout", "tasks", "run")
        refuse_idle({it: reading.get(it) for it in names}, f"{path} is one file, of one task")
    elif found.layout != "MCITlib":
        side_by_side = "only MCITlib's results have several runs side by side"
        refuse_idle({"run": reading.get("run")}, f"{side_by_side}, these are {found.layout}'s")
    return found


def _refuse_holes(run: ResultRun) -> None:
    way_out = "'retain eval' scores what there is."
    if run.layout != "Retain":  # its folders are numbered and named by their tasks
        way_out += f" If the order was not {', '.join(run.tasks)}, give it with --tasks."
    refuse_holes(
        run.root,
        run.tasks,
        run.last_stage,
        run.files,
        lambda stage, task: f"task {task!r} after stage {stage}: {run.expected(stage, task)}",
        way_out,
    )


def _score(run: ResultRun, references: References | None, reading: Reading) -> ScoredRun:
    tell, mode = reading.get("on_progress"), reading.get("mode", "fixed")
    source, scored = _source(run, references), ScoredRun(run, mode)
    scored.notes.extend(run.notes)
    asked = reading.get("scorers")
    refuse_without_task(run, {} if isinstance(asked, str) else asked or {}, "a scorer")
    refuse_without_task(run, run.metrics, "[metrics] in run.toml")
    refuse_without_task(run, source.named, "references")
    for task in run.measured:
        scored.items[task] = _items(scored, task, source.find(task), reading.get("scorers"))
        for place, path in run.files.items():
            if place[1] == task:
                answers = pair(
                    scored.items[task],
                    read_predictions(path),
                    path,
                    reading.get("check_prompts", True),
                )
                scored.answers[place] = answers
                scored.scores[place] = score_items(scored.items[task], answers, mode)
                if tell:
                    tell(task, len(scored.scores), len(run.files))
    return scored


def _places(references: References | None) -> References | None:
    """Return None for a source that names no place."""
    if isinstance(references, ReferenceSource) and not (references.places or references.named):
        return None
    return references


def _source(run: ResultRun, references: References | None) -> ReferenceSource:
    default = [run.root / REFERENCES]
    if isinstance(references, ReferenceSource):
        return references if references.places else replace(references, places=default)
    if isinstance(references, Mapping):
        named = {task: Path(path) for task, path in references.items()}
        return ReferenceSource(default, named)
    if isinstance(references, str | Path):
        return ReferenceSource([Path(references)])
    return ReferenceSource(default if references is None else [Path(it) for it in references])


def _items(
    scored: ScoredRun, task: str, files: ReferenceFiles, scorers: Scorers | None
) -> list[EvalItem]:
    rows = read_references(files.questions, files.answers)
    metric = _asked(scored.run, task, scorers) or (
        "caption" if files.captions else metric_in(benchmark_of(scored.run.tasks), task)
    )
    if metric is None:
        metric = guess_metric(rows)
        scored.notes.append(
            f"{task}: scored by {metric}, which fits the form of its references; "
            f"--scorer {task}=NAME chooses another"
        )
    fewest = min(len(row.answers) for row in rows)
    if metric == "vqa_soft" and fewest < FULL_VOTES:
        scored.notes.append(
            f"{task}: the soft score is made for {FULL_VOTES} people's answers a question, "
            f"{files.answers or files.questions} holds {fewest}"
        )
    scored.images.update({(task, row.id): row.image for row in rows if row.image})
    items = items_of(task, rows, metric)
    scored.notes.extend(check_satisfiable(task, items, guess_metric(rows)))
    return items


def _asked(run: ResultRun, task: str, scorers: Scorers | None) -> Metric | None:
    """Return the scorer that the caller or else the folder asks for. Raises ValueError."""
    given = {"*": scorers} if isinstance(scorers, str) else scorers or {}
    for asked in (given, run.metrics):
        names = [name for name in asked if plain_name(name) == plain_name(task)]
        for name in (*names, *(["*"] if "*" in asked else [])):
            if asked[name] not in SCORERS:
                raise ValueError(
                    f"there is no scorer {asked[name]!r}: choose {', '.join(SCORERS)}."
                )
            return cast(Metric, asked[name])
    return None
