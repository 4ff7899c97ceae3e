"""Folders `<task>/<stage>/merge.jsonl`, as CoIN, SEFE, MCITlib and Prism write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eval.results.benchmarks import BENCHMARKS, benchmark_of, number_of, plain_name, without_number
from eval.results.errors import ResultsRefused
from eval.results.run import MERGED, Place, ResultRun
from eval.results.stages import STAGE_RULES, Numbers, TaskFolders, doubtful_base

_SHOWN = 8


def find_nested(path: Path) -> Path | None:
    """Return the folder of task folders at or below `path`; None if there is no `merge.jsonl`.

    Raises:
        ResultsRefused: if several runs lie below it.
    """
    roots = sorted({file.parents[2] for file in path.rglob(f"*/*/{MERGED}")})
    if len(roots) > 1:
        listed = ", ".join(str(root) for root in roots[:_SHOWN])
        raise ResultsRefused(f"{path} holds {len(roots)} runs. Name one of them: {listed}.")
    return roots[0] if roots else None


def read_nested(
    root: Path,
    layout: str | None = None,
    tasks: Sequence[str] | None = None,
    run: str | None = None,
) -> ResultRun:
    """Return the run in a folder of task folders.

    Args:
        root: holds the task folders.
        layout: `coin`, `mcitlib` or `prism`; None takes the first that explains every stage's name.
        tasks: their order; None finds it in numbers before the names, the stage at which each
            task first has results, or a published benchmark.
        run: MCITlib keeps several methods' stages side by side: the one to read.

    Raises:
        ResultsRefused: if a stage's name or the order cannot be made out.
    """
    folder = _look(root)
    names = (layout and [layout]) or [*STAGE_RULES]
    for name in names:
        title, number = STAGE_RULES[name]
        numbers = number(folder, run)
        if numbers is not None and (run is None or name == "mcitlib"):
            return _build(folder, title, numbers, tasks, run)
    stages = sorted({stage for of_task in folder.stages.values() for stage in of_task})
    raise ResultsRefused(
        f"{root}: the stage folders {', '.join(stages[:_SHOWN])} are not named as in "
        f"{' or '.join(STAGE_RULES[name][0] for name in names)} results. Name each by the task "
        "that was learned last (CoIN), <method>-task<k> (MCITlib) or by a number, or keep the "
        "answers in Retain's own layout (docs/evaluate.md)."
    )


def _look(root: Path) -> TaskFolders:
    stages: dict[str, tuple[str, ...]] = {}
    for file in sorted(root.glob(f"*/*/{MERGED}")):
        task = file.parents[1].name
        stages[task] = (*stages.get(task, ()), file.parent.name)
    return TaskFolders(root, tuple(stages), stages)


def _build(
    folder: TaskFolders, title: str, numbers: Numbers, wanted: Sequence[str] | None, run: str | None
) -> ResultRun:
    order, source, notes = _order(folder, numbers, wanted)
    if title == "Prism" and (stage := doubtful_base(folder)):
        notes.append(
            f"{stage} was taken for the stage that learned {order[0]}, as Prism numbers from 0; it "
            "has results of every task, so it may be the base: then name its folders zero-shot"
        )
    place = {task: number for number, task in enumerate(order, 1)}
    names = _names(order)
    stages = {
        pair: place[number] if isinstance(number, str) else number
        for pair, number in numbers.items()
    }
    _check_stages(folder, stages, order)
    files: dict[Place, Path] = {}
    for (task, stage), number in stages.items():
        _add(files, (number, names[task]), folder.root / task / stage / MERGED)
    folders = {name: task for task, name in names.items()}
    return ResultRun(
        layout=title,
        name=run or folder.root.name,
        root=folder.root,
        tasks=tuple(names[task] for task in order),
        files=files,
        expected=_expecting(folder, title, stages, order, folders),
        order_from=source,
        notes=tuple(notes),
    )


def _add(files: dict[Place, Path], place: Place, path: Path) -> None:
    if place in files:
        raise ResultsRefused(
            f"{files[place]} and {path} are both of task {place[1]!r} after stage {place[0]}. "
            "Move one of them away."
        )
    files[place] = path


def _names(order: Sequence[str]) -> dict[str, str]:
    """Return names without the numbers before them, where they stay different."""
    plain = {task: without_number(task) for task in order}
    return plain if len(set(plain.values())) == len(plain) else {task: task for task in order}


def _check_stages(
    folder: TaskFolders, stages: Mapping[tuple[str, str], int], order: Sequence[str]
) -> None:
    for (task, stage), number in stages.items():
        if number > len(order):
            raise ResultsRefused(
                f"{folder.root / task / stage} is of stage {number}, but there are results of "
                f"{len(order)} tasks only: {', '.join(order)}. Put the missing tasks' results "
                "there too."
            )


def _order(
    folder: TaskFolders, numbers: Numbers, wanted: Sequence[str] | None
) -> tuple[list[str], str, list[str]]:
    """Return the tasks in order, what tells it, and notes."""
    if wanted is not None:
        return _as_wanted(folder, wanted), "the list given", []
    before = {task: number_of(task) for task in folder.tasks}
    counted = {task: number for task, number in before.items() if number is not None}
    if len(set(counted.values())) == len(folder.tasks):
        order = sorted(folder.tasks, key=lambda task: counted[task])
        return order, "the numbers in their names", []
    first = _by_first_result(folder, numbers)
    if first is not None:
        return first, "the stage at which each first has results", []
    if benchmark := benchmark_of(folder.tasks):
        known = [plain_name(name) for name in BENCHMARKS[benchmark]]
        order = sorted(folder.tasks, key=lambda task: known.index(plain_name(task)))
        return order, benchmark, _not_proved(benchmark, numbers)
    raise ResultsRefused(
        f"{folder.root}: the order in which the tasks were learned cannot be told from their "
        f"names ({', '.join(folder.tasks)}). Give it, as --tasks {','.join(folder.tasks)}."
    )


def _not_proved(benchmark: str, numbers: Numbers) -> list[str]:
    """Return the note that numbered stages would fit another order just as well."""
    if not any(isinstance(number, int) and number for number in numbers.values()):
        return []
    return [
        f"the tasks are in the order of {benchmark}, as the numbers of the stages do not tell it; "
        "--tasks gives another"
    ]


def _by_first_result(folder: TaskFolders, numbers: Numbers) -> list[str] | None:
    """Return the tasks as stages 1, 2, ... add them, each exactly one; None if they do not.

    Tasks with results of the base alone are not learned yet: they come last.
    """
    first: dict[str, int] = {}
    for (task, _), number in numbers.items():
        if isinstance(number, int) and number:
            first[task] = min(number, first.get(task, number))
    one_a_stage = first and sorted(first.values()) == [*range(1, len(first) + 1)]
    if not one_a_stage and len(folder.tasks) > 1:
        return None
    return sorted(folder.tasks, key=lambda task: first.get(task, len(folder.tasks) + 1))


def _as_wanted(folder: TaskFolders, wanted: Sequence[str]) -> list[str]:
    by_name = {plain_name(task): task for task in folder.tasks}
    unknown = [task for task in wanted if plain_name(task) not in by_name]
    left = set(by_name) - {plain_name(task) for task in wanted}
    if unknown or left or len(wanted) != len(by_name):
        raise ResultsRefused(
            f"the list of tasks names {', '.join(wanted)}; {folder.root} has results of "
            f"{', '.join(folder.tasks)}. Name each of these once."
        )
    return [by_name[plain_name(task)] for task in wanted]


def _expecting(
    folder: TaskFolders,
    title: str,
    stages: Mapping[tuple[str, str], int],
    order: Sequence[str],
    folders: Mapping[str, str],
) -> Callable[[int, str], Path]:
    seen = {
        number: stage for (_, stage), number in stages.items() if plain_name(stage) != "finetune"
    }
    own = any(plain_name(stage) == "finetune" for _, stage in stages)

    def expected(stage: int, task: str) -> Path:
        name = seen.get(stage) or (
            order[stage - 1] if title == "CoIN" and stage else f"<stage {stage}>"
        )
        if own and stage and order[stage - 1] == folders[task]:
            name = "Finetune"
        return folder.root / folders[task] / name / MERGED

    return expected
