"""How CoIN, SEFE, MCITlib and Prism call the stages in `<task>/<stage>/merge.jsonl`.

CoIN and SEFE name a stage by the task learned last (`Finetune`, in CoIN, is the task's own;
`Zero_shot` the base); MCITlib `<method>-task<k>` with k from 1, and `zero-shot`; Prism by any name,
such as its checkpoints' `Task0` from 0, or `last`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.results.benchmarks import plain_name
from eval.results.errors import ResultsRefused

_MCITLIB = re.compile(r"(?P<run>.+)-task(?P<stage>\d+)")
_NUMBER = re.compile(r".*?(\d+)")


@dataclass(frozen=True)
class TaskFolders:
    """A folder of results, before it is known what its names mean."""

    root: Path
    tasks: tuple[str, ...]  # folder names
    stages: Mapping[str, tuple[str, ...]]  # by task folder: folder names

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All task folders with their stage folders."""
        return [(task, stage) for task in self.tasks for stage in self.stages[task]]


Numbers = dict[tuple[str, str], int | str]
"""By task folder and stage folder: the stage's number, or the task folder it is named after."""


def _coin(folder: TaskFolders, run: str | None) -> Numbers | None:
    by_name = {plain_name(task): task for task in folder.tasks}
    numbers: Numbers = {}
    for task, stage in folder.pairs:
        name = plain_name(stage)
        if name == "zeroshot":
            numbers[task, stage] = 0
        elif name == "finetune":
            numbers[task, stage] = task
        elif name in by_name:
            numbers[task, stage] = by_name[name]
        else:
            return None
    return numbers


def _mcitlib(folder: TaskFolders, run: str | None) -> Numbers | None:
    numbers: Numbers = {}
    runs, others = set[str](), set[str]()
    for task, stage in folder.pairs:
        found = _MCITLIB.fullmatch(stage)
        if plain_name(stage) == "zeroshot":
            numbers[task, stage] = 0
        elif found is None:
            return None
        elif run in (None, found["run"]):
            runs.add(found["run"])
            numbers[task, stage] = int(found["stage"])
        else:
            others.add(found["run"])
    if others and not runs:
        raise ResultsRefused(
            f"{folder.root} has no run {run!r}: choose {', '.join(sorted(others))}."
        )
    if len(runs) > 1:
        raise ResultsRefused(
            f"{folder.root} holds the results of {len(runs)} runs: {', '.join(sorted(runs))}. "
            "Choose one with --run."
        )
    return numbers if runs else None


def _prism(folder: TaskFolders, run: str | None) -> Numbers | None:
    numbers: Numbers = {}
    for task, stage in folder.pairs:
        found = _NUMBER.fullmatch(stage)
        if plain_name(stage) == "zeroshot":
            numbers[task, stage] = 0
        elif stage.casefold() == "last":
            numbers[task, stage] = len(folder.tasks)
        elif found:
            numbers[task, stage] = int(found[1]) + _first_stage(folder)
        else:
            return None
    return numbers


def _first_stage(folder: TaskFolders) -> int:
    """Return 1 if the first task's stage is numbered 0, as Prism's checkpoints are, else 0."""
    found = {int(it[1]) for _, stage in folder.pairs if (it := _NUMBER.fullmatch(stage))}
    return int(0 in found and max(found) < len(folder.tasks))


def doubtful_base(folder: TaskFolders) -> str | None:
    """Return the name of Prism's stage 0 if it may be the base just as well.

    It is then taken for the first task's stage, but has results of all tasks, and nothing else is
    the base.
    """
    zeros = {
        task: stage
        for task, stage in folder.pairs
        if (it := _NUMBER.fullmatch(stage)) and not int(it[1])
    }
    based = any(plain_name(stage) == "zeroshot" for _, stage in folder.pairs)
    if based or len(zeros) < len(folder.tasks) or not _first_stage(folder):
        return None
    return zeros[folder.tasks[0]]


STAGE_RULES: Mapping[str, tuple[str, Callable[[TaskFolders, str | None], Numbers | None]]] = {
    "coin": ("CoIN", _coin),
    "mcitlib": ("MCITlib", _mcitlib),
    "prism": ("Prism", _prism),
}
"""By layout: its title, and what numbers the stages; that is None if a name does not fit."""
