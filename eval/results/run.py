"""A run: which file holds the answers to which task after which stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

MERGED = "merge.jsonl"
"""A task's predictions after a stage, in CoIN's, MCITlib's and Prism's results."""
Place = tuple[int, str]
"""A stage (0 is the base) and a task's name."""


@dataclass(frozen=True)
class ResultRun:
    """Where a run's results lie.

    Args:
        layout: how the folder was read, as people call it: `CoIN`, `MCITlib`, `Prism`, `Retain`.
        name: of the run; its versions are `name@0`, `name@1`, ...
        root: the folder.
        tasks: names in the order of learning; those after the last stage are future tasks.
        files: the prediction files by stage and task.
        expected: the path on which a result that is missing would lie.
        order_from: what the order of the tasks was taken from.
        metrics: scorers that the folder itself asks for, by task.
        training: what was trained and how, if the folder says so.
        notes: what was assumed and may be otherwise.
    """

    layout: str
    name: str
    root: Path
    tasks: tuple[str, ...]
    files: dict[Place, Path]
    expected: Callable[[int, str], Path]
    order_from: str
    metrics: dict[str, str] = field(default_factory=dict)
    training: dict[str, JsonValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def last_stage(self) -> int:
        """The highest stage that any file belongs to."""
        return max(stage for stage, _ in self.files)

    @property
    def measured(self) -> tuple[str, ...]:
        """The tasks that any file belongs to, in order."""
        found = {task for _, task in self.files}
        return tuple(task for task in self.tasks if task in found)

    def version(self, stage: int) -> str:
        """Return the name of the model after a stage."""
        return f"{self.name}@{stage}"

    def learned(self, stage: int) -> str | None:
        """Return the task that a stage learned; None for the base."""
        return self.tasks[stage - 1] if stage else None

    def said(self) -> str:
        """Return how the folder was read, in one sentence."""
        stages = len({stage for stage, _ in self.files})
        return (
            f"read as {self.layout} results: {counted(len(self.tasks), 'task')}, "
            f"{counted(stages, 'stage')}, {counted(len(self.files), 'file')}; order of tasks from "
            f"{self.order_from}: {', '.join(self.tasks)}"
        )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as `1 task` or `2 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
