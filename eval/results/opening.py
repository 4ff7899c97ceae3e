"""Which layout a results folder has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eval.results.errors import ResultsRefused
from eval.results.nested import find_nested, read_nested
from eval.results.plain import looks_plain, read_file, read_plain
from eval.results.run import ResultRun
from eval.results.settings import read_settings
from eval.results.stages import STAGE_RULES

LAYOUTS = ("retain", *STAGE_RULES)


def open_run(
    path: str | Path,
    layout: str | None = None,
    tasks: Sequence[str] | None = None,
    run: str | None = None,
) -> ResultRun:
    """Return the run in a folder; nothing but names is read yet.

    Args:
        path: the folder; for CoIN, MCITlib and Prism also one above the folder of task folders.
            A file holds one state's answers to one task, named as the file.
        layout: one of `LAYOUTS`; None finds out.
        tasks: the order of learning, where the folder does not tell it.
        run: which of several runs side by side, as MCITlib keeps them.

    Raises:
        ResultsRefused: if nothing is there, or it cannot be read as the layout.
        ValueError: if `layout` is none of `LAYOUTS`.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: choose one of {', '.join(LAYOUTS)}.")
    root = Path(path)
    if root.is_file():
        return read_file(root)
    if not root.is_dir():
        raise ResultsRefused(f"{root} is not there.")
    settings = read_settings(root)
    found = _read(root, layout, settings.tasks if tasks is None else tasks, run)
    return replace(
        found,
        name=settings.name or found.name,
        metrics=settings.metrics,
        training=settings.training,
    )


def _read(
    root: Path, layout: str | None, tasks: Sequence[str] | None, run: str | None
) -> ResultRun:
    nested = None if layout == "retain" else find_nested(root)
    if nested is not None:
        return read_nested(nested, layout, tasks, run)
    if layout in STAGE_RULES:
        raise ResultsRefused(f"{root} holds no <task>/<stage>/merge.jsonl, as {layout} results do.")
    return _plain(root, tasks)


def _plain(root: Path, tasks: Sequence[str] | None) -> ResultRun:
    if not looks_plain(root):
        raise ResultsRefused(
            f"{root} holds no results: neither <task>/<stage>/merge.jsonl (CoIN, MCITlib, Prism), "
            "nor stage folders such as 1-science with a file a task, nor such files alone "
            "(docs/evaluate.md)."
        )
    return read_plain(root, tasks)
