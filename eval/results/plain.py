"""Retain's own layout: a folder a stage, a file a task; simple enough to be written by hand.

    run.toml                    optional: the run's name, scorers, what was trained
    references/science.jsonl    {"id": "1", "question": "...", "answer": "B"}
    0-base/science.jsonl        {"id": "1", "answer": "C"}
    1-science/science.jsonl
    2-signs/science.jsonl
    2-signs/signs.jsonl

A folder without stages, `science.jsonl` and `signs.jsonl` alone, is one state of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.results.benchmarks import number_of, without_number
from eval.results.errors import ResultsRefused
from eval.results.run import MERGED, Place, ResultRun

REFERENCES = "references"
_SUFFIXES = (".jsonl", ".json")


def looks_plain(root: Path) -> bool:
    """Return whether a folder has stage folders as `1-science`, or prediction files."""
    return bool(_stage_folders(root) or task_files(root))


def read_plain(root: Path, tasks: Sequence[str] | None = None) -> ResultRun:
    """Return the run in a folder of stages, or of one state's prediction files.

    Raises:
        ResultsRefused: if stages repeat or leave one out.
    """
    stages = _stage_folders(root)
    if not stages:
        return _one_state(root, root.resolve().name, task_files(root), tasks)
    learned = _learned(root, stages)
    files: dict[Place, Path] = {
        (number, task): path
        for number, folder in stages.items()
        for task, path in task_files(folder).items()
    }
    if not files:
        raise ResultsRefused(f"{root}: its stage folders hold no .jsonl or .json file.")
    future = sorted({task for _, task in files} - set(learned))
    if tasks is not None and list(tasks) != learned:
        raise ResultsRefused(
            f"the list of tasks names {', '.join(tasks)}, but the stage folders of {root} say "
            f"{', '.join(learned)}. Leave --tasks, or `tasks` in run.toml, out."
        )
    return ResultRun(
        layout="Retain",
        name=root.resolve().name,
        root=root,
        tasks=(*learned, *future),
        files=files,
        expected=lambda stage, task: _expected(root, stages, learned, stage, task),
        order_from="the stage folders",
    )


def task_files(folder: Path) -> dict[str, Path]:
    """Return the JSON files in a folder by task. Raises ResultsRefused for two of one task."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _SUFFIXES and path.is_file():
            if path.stem in found:
                raise ResultsRefused(f"{found[path.stem]} and {path} are of one task: keep one.")
            found[path.stem] = path
    return found


def read_file(path: Path) -> ResultRun:
    """Return a run of one state and one task: a file, named by it or, if `merge`, by its task."""
    task = path.resolve().parents[1].name if path.name == MERGED else path.stem
    return _one_state(path.parent, task, {task: path}, None)


def _one_state(
    root: Path, name: str, found: dict[str, Path], tasks: Sequence[str] | None
) -> ResultRun:
    order = tuple(found) if tasks is None else tuple(tasks)
    if sorted(order) != sorted(found):
        raise ResultsRefused(
            f"the list of tasks names {', '.join(order)}; {root} holds {', '.join(found)}. Name "
            "each of these once."
        )
    return ResultRun(
        layout="Retain",
        name=name,
        root=root,
        tasks=order,
        files={(0, task): found[task] for task in order},
        expected=lambda stage, task: root / f"{task}.jsonl",
        order_from="the file names" if tasks is None else "the list given",
    )


def _stage_folders(root: Path) -> dict[int, Path]:
    stages: dict[int, Path] = {}
    for folder in sorted(root.iterdir()):
        number = number_of(folder.name) if folder.is_dir() else None
        if number is None:
            continue
        if number in stages:
            raise ResultsRefused(
                f"{stages[number]} and {folder} are both stage {number}: keep one."
            )
        stages[number] = folder
    return stages


def _learned(root: Path, stages: dict[int, Path]) -> list[str]:
    numbers = sorted(stages)
    if numbers not in (list(range(len(numbers))), list(range(1, len(numbers) + 1))):
        raise ResultsRefused(
            f"{root} has the stages {', '.join(map(str, numbers))}: number them 1, 2, 3, ... "
            "without a gap (0 is the base)."
        )
    learned: dict[str, Path] = {}
    for folder in (stages[number] for number in numbers if number):
        name = without_number(folder.name)
        if name in learned:
            raise ResultsRefused(
                f"{learned[name]} and {folder} both say that {name!r} was learned: a task is "
                "learned once. Rename the stage that learned another, or leave it out."
            )
        learned[name] = folder
    return list(learned)


def _expected(
    root: Path, stages: dict[int, Path], learned: Sequence[str], stage: int, task: str
) -> Path:
    folder = stages.get(stage, root / (f"{stage}-{learned[stage - 1]}" if stage else "0-base"))
    return folder / f"{task}.jsonl"
