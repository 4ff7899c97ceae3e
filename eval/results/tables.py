"""An accuracy matrix given as numbers: a CSV table as papers print it, or the same as JSON.

    stage,science,signs
    n,2000,2000
    base,10.5,20.1
    science,75.4,
    signs,54.05,64.3

Rows are stages in order, columns tasks in the order of learning, values points from 0 to 100. `n`
counts the items behind a column, `metric` may name its scorer, `base` is the row before any task.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from eval.export import ACCURACY_COLUMNS
from eval.matrix import AccuracyMatrix, Cell, MatrixRow
from eval.results.benchmarks import plain_name
from eval.results.errors import ResultsRefused
from eval.results.files import read_json, read_text, shown

_BASE = ("base", "zeroshot", "0")
_HOLES = ("", "-", "·", "–", "—")
_METRIC = "accuracy"


class _Line(NamedTuple):
    name: str
    values: list[Any]
    place: str


def read_matrix(path: Path, n: int | None = None) -> AccuracyMatrix:
    """Return the matrix in a `.csv` or `.json` file; empty cells are holes.

    JSON holds `tasks`, `n` (a number, or one a task) and `matrix` (rows of numbers or null), and
    may hold `stages` (their names) and `metric`; or it is a matrix or report that Retain wrote.

    Args:
        path: the file.
        n: items behind every cell, where the file does not say.

    Raises:
        ResultsRefused: if the file is neither, a value is no number from 0 to 100, all of them are
            shares from 0 to 1, the row of another stage was expected, or n is not given.
        InvalidMatrix: if tasks repeat or rows do not fit to them.
    """
    if path.suffix == ".json":
        value = read_json(path)
        ready = value.get("matrix") if isinstance(value, dict) else None
        for candidate in (ready, value):
            if isinstance(candidate, dict) and "rows" in candidate:
                return _validated(candidate, path)
        tasks, lines = _json_lines(value, path)
    else:
        tasks, lines = _csv_lines(path)
    return _matrix(path, tasks, lines, n)


def _validated(value: Any, path: Path) -> AccuracyMatrix:
    try:
        return AccuracyMatrix.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ResultsRefused(f"{path}: {where}: {first['msg']}.") from error


def _csv_lines(path: Path) -> tuple[list[str], list[_Line]]:
    head: list[str] | None = None
    lines = []
    for number, row in _csv_rows(path):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if head is None:
            head = cells
            continue
        if len(cells) > len(head):
            raise ResultsRefused(
                f"{path}, line {number}: {len(cells)} cells, the first line has {len(head)}."
            )
        cells += [""] * (len(head) - len(cells))
        lines.append(_Line(cells[0], [*cells[1:]], f"{path}, line {number}"))
    if head == list(ACCURACY_COLUMNS):
        raise ResultsRefused(
            f"{path} has a line for each number, as Retain writes them for other programs. Give "
            "the report.json of the same report instead."
        )
    if head and len(set(head)) < len(head):
        twice = next(name for name in head if head.count(name) > 1)
        raise ResultsRefused(
            f"{path}, first line: {twice!r} names two columns. Name each task once."
        )
    if head is None or len(head) < 2 or not lines:
        raise ResultsRefused(f"{path} holds no matrix. The first line names the tasks: stage,a,b.")
    return head[1:], lines


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(io.StringIO(read_text(path)), strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise ResultsRefused(
            f"{path}, line {rows.line_num}: not CSV: {error}. Close every quote, and keep cells "
            "short."
        ) from error


def _json_lines(value: Any, path: Path) -> tuple[list[str], list[_Line]]:
    try:
        tasks, rows = [*value["tasks"]], [[*row] for row in value["matrix"]]
        with_base = len(rows) == len(tasks) + 1
        names = [*(value.get("stages") or (["base"] if with_base else []) + tasks)]
    except (TypeError, KeyError) as error:
        raise ResultsRefused(
            f"{path}: expected 'tasks' and 'matrix' (a list of rows): {error!r}."
        ) from error
    lines = [
        _Line(str(name), row, f"{path}, row {number}")
        for number, (name, row) in enumerate(zip(names, rows, strict=False), 1)
    ]
    if len(lines) < len(rows) or any(len(row) != len(tasks) for row in rows):
        raise ResultsRefused(
            f"{path}: {len(rows)} rows of {sorted({len(row) for row in rows})} values for "
            f"{len(tasks)} tasks and {len(names)} stages: give one value a task, null for a hole."
        )
    for name in ("n", "metric"):
        if name in value:
            lines.append(_Line(name, _each(value[name], tasks), f"{path}, {name}"))
    return tasks, lines


def _each(value: Any, tasks: Sequence[str]) -> list[Any]:
    if isinstance(value, dict):
        return [value.get(task, "") for task in tasks]
    return value if isinstance(value, list) else [value] * len(tasks)


def _matrix(
    path: Path, tasks: Sequence[str], lines: Sequence[_Line], n: int | None
) -> AccuracyMatrix:
    for task in tasks:
        if not isinstance(task, str) or not task.strip():
            raise ResultsRefused(f"{path}: a task is called {shown(task)}: give each a name.")
    said = _said_once(lines)
    stages = [line for line in lines if line.name.casefold() not in said]
    counts = _counts(path, tasks, said.get("n"), n)
    metrics = [str(it) or _METRIC for it in said["metric"].values] if "metric" in said else []
    if metrics and len(metrics) != len(tasks):
        raise ResultsRefused(f"{path}: {len(metrics)} metrics for {len(tasks)} tasks.")
    _refuse_shares(path, stages)
    base = [line for line in stages if plain_name(line.name) in _BASE]
    learned = [line for line in stages if line not in base]
    if len(base) > 1 or (base and stages[0] is not base[0]):
        raise ResultsRefused(f"{base[-1].place}: the base is the first row, and there is one.")
    _check_names(tasks, learned)
    rows = [base[0] if base else _Line("base", [""] * len(tasks), str(path)), *learned]
    return AccuracyMatrix(
        tasks=tuple(tasks),
        rows=tuple(
            MatrixRow(
                version=f"{path.stem}@{stage}",
                task=tasks[stage - 1] if 0 < stage <= len(tasks) else None,
                cells=_cells(line, tasks, counts, metrics or [_METRIC] * len(tasks)),
            )
            for stage, line in enumerate(rows)
        ),
    )


def _said_once(lines: Sequence[_Line]) -> dict[str, _Line]:
    """Return the rows `n` and `metric`."""
    said: dict[str, _Line] = {}
    for line in lines:
        name = line.name.casefold()
        if name in said:
            raise ResultsRefused(f"{line.place}: there is a row {name!r} before. Keep one.")
        if name in ("n", "metric"):
            said[name] = line
    return said


def _check_names(tasks: Sequence[str], learned: Sequence[_Line]) -> None:
    names = [plain_name(task) for task in tasks]
    for stage, line in enumerate(learned):
        name = plain_name(line.name)
        if name in names and names.index(name) != stage:
            raise ResultsRefused(
                f"{line.place}: stage {stage + 1} is named {line.name!r}, but the column of stage "
                f"{stage + 1} is {tasks[stage] if stage < len(tasks) else 'not there'!r}. Rows and "
                "columns are both in the order of learning."
            )


def _counts(path: Path, tasks: Sequence[str], line: _Line | None, n: int | None) -> list[int]:
    if line is not None and n is not None:
        raise ResultsRefused(
            f"{line.place}: the file says how many items are behind its numbers. Leave --n out."
        )
    if line is None and n is None:
        raise ResultsRefused(
            f"{path} does not say how many items are behind its numbers. Add a row "
            f"'n,{','.join(['2000'] * len(tasks))}', or give --n."
        )
    values = [n] * len(tasks) if line is None else line.values
    if len(values) != len(tasks):
        raise ResultsRefused(f"{path}: {len(values)} values of n for {len(tasks)} tasks.")
    counts = []
    for task, value in zip(tasks, values, strict=True):
        number = _number(value)
        if number is None or number < 1 or number != int(number):
            place = line.place if line else "--n"
            raise ResultsRefused(f"{place}: n of {task!r} is {shown(value)}, expected 1 or more.")
        counts.append(int(number))
    return counts


def _cells(
    line: _Line, tasks: Sequence[str], counts: Sequence[int], metrics: Sequence[str]
) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for task, value, count, metric in zip(tasks, line.values, counts, metrics, strict=True):
        if value is None or (isinstance(value, str) and value in _HOLES):
            continue
        points = _number(value)
        if points is None or not 0 <= points <= 100:
            raise ResultsRefused(
                f"{line.place}: {task!r} is {shown(value)}, expected points from 0 to 100, or "
                "nothing where it was not measured."
            )
        cells[task] = Cell(accuracy=points, n=count, metric=metric)
    return cells


def _refuse_shares(path: Path, stages: Sequence[_Line]) -> None:
    found = [number for line in stages for it in line.values if (number := _number(it)) is not None]
    if found and 0 < max(found) <= 1 and len(found) > 1:
        raise ResultsRefused(
            f"{path}: no value is above {max(found):g}, so these look like shares. Give points, "
            "from 0 to 100."
        )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
