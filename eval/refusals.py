"""What `eval.api` refuses of its arguments: those that would do nothing, or score nothing right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.items import EvalItem
from eval.results.benchmarks import plain_name
from eval.results.errors import ReferencesRefused, ResultsRefused
from eval.results.run import ResultRun
from eval.scorers import bind_scorer

WANTED = {"iou": "a box of four numbers", "option_letter": "the letter of an option"}
"""What references must be for scorers that read nothing else."""
_OPTIONS = {"scorers": "--scorer", "check_prompts": "--any-prompt"}


def refuse_idle(given: Mapping[str, Any], reason: str) -> None:
    """Raise ValueError, with the reason, if any of the arguments is given."""
    usual = {"mode": "fixed", "check_prompts": True}
    idle = [
        _OPTIONS.get(name, f"--{name}")
        for name, value in given.items()
        if name != "on_progress" and value != usual.get(name)
    ]
    if idle:
        raise ValueError(f"{', '.join(idle)} would do nothing: {reason}.")


def refuse_one_file(path: Path) -> None:
    """Raise ResultsRefused if a report is asked for on a file that is no matrix."""
    if path.is_file():
        raise ResultsRefused(
            f"{path} is one file and no matrix (.csv, .json): a report needs a folder with the "
            f"predictions of several stages. Answers in it are scored by 'retain eval "
            f"--predictions {path}'."
        )


def refuse_without_task(run: ResultRun, names: Iterable[str], what: str) -> None:
    """Raise ValueError if any of the names is of no task; `what`: what it was to be given."""
    known = {plain_name(task) for task in run.tasks}
    for name in names:
        if name != "*" and plain_name(name) not in known:
            raise ValueError(
                f"there is no task {name!r} for {what}: the tasks are {', '.join(run.tasks)}. "
                "Correct the name."
            )


def check_satisfiable(task: str, items: Sequence[EvalItem], fitting: str) -> list[str]:
    """Return a note on questions to which no answer can be right.

    Raises ReferencesRefused if there is no other question. `fitting`: the scorer that fits.
    """
    metric = items[0].metric
    if metric not in WANTED:
        return []
    odd = [it for it in items if not any(map(bind_scorer(it), it.references))]
    if not odd:
        return []
    shown = f"such as {odd[0].references[0][:80]!r} of question {odd[0].id!r}"
    if len(odd) == len(items):
        raise ReferencesRefused(
            f"{task}: no answer can be right by {metric}, as no reference is {WANTED[metric]}: "
            f"they are {shown}. Choose another scorer: --scorer {task}={fitting} fits them."
        )
    return [
        f"{task}: no answer to {len(odd):,} of {len(items):,} questions can be right by {metric}, "
        f"as their references are not {WANTED[metric]}, {shown}"
    ]
