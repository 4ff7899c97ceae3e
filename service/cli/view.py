"""How answers look in a terminal: tables, the accuracy matrix, live job progress."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from service.cli import context
from service.workflow.states import TERMINAL

Json = dict[str, Any]
KEPT = ("id", "name", "stream", "task", "job", "version", "aliases", "row")
_WORD = 16  # wrapped columns keep words up to this length whole
_UNLIMITED = 100_000


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a plain table; None shows as a dash.

    Ids and names, which people copy, are never cut or broken; the other columns wrap.
    """
    view = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE
    )
    body = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    for number, column in enumerate(columns):
        _add_column(view, column, [row[number] for row in body])
    for row in body:
        view.add_row(*(escape(cell) for cell in row))
    return view


def _add_column(view: Table, name: str, cells: Sequence[str]) -> None:
    texts = (name, *cells)
    widest = max(map(cell_len, texts))
    word = max((cell_len(word) for text in texts for word in text.split()), default=1)
    kept = name in KEPT
    least = widest if kept else min(word, _WORD)
    view.add_column(name, no_wrap=kept, min_width=least, max_width=widest, overflow="fold")


def show(console: Console, view: Table) -> None:
    """Print a table: as wide as a terminal, if ids and names allow; unwrapped when piped."""
    room = console.width if console.is_terminal else _UNLIMITED
    frame = 3 * len(view.columns) + 1  # a space on both sides of each column, lines between
    widths = [column.max_width or 0 for column in view.columns]
    least = [column.min_width or 0 for column in view.columns]
    for column, width in zip(view.columns, _fit(widths, least, room - frame), strict=True):
        column.width = width
    view.width = frame + sum(column.width or 0 for column in view.columns)
    console.print(view, crop=False)


def _fit(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths that fit, the widest of those that may shrink shrunk first."""
    fitted = list(widths)
    for _ in range(sum(widths) - room):
        free = [place for place, width in enumerate(fitted) if width > least[place]]
        if not free:
            break
        fitted[max(free, key=lambda place: fitted[place])] -= 1
    return fitted


def moment(text: str) -> str:
    """Return an ISO moment without its fraction of a second."""
    return text[:19].replace("T", " ")


def first_sentence(text: str | None) -> str | None:
    """Return a reason's first sentence; the whole is in `job show`."""
    return text.split(". ")[0] if text else None


def matrix_table(matrix: Json) -> Table:
    """Return the accuracy matrix: a row per version, a column per task, points 0..100."""
    tasks = matrix["tasks"]
    view = Table(
        title="accuracy by version and task (points)", title_justify="left", box=box.SIMPLE
    )
    view.add_column("version")
    for task in tasks:
        view.add_column(escape(task), justify="right")
    for row in matrix["rows"]:
        cells = [_cell(row["cells"].get(task)) for task in tasks]
        view.add_row(escape(row["version"]), *cells)
    return view


def _cell(cell: Json | None) -> str:
    return "·" if cell is None else f"{cell['accuracy']:.1f} [dim](n={cell['n']})[/]"


def show_plan(console: Console, plan: Json) -> None:
    """Print what a task would take."""
    how = {"measured": "as the newest run like it", "rough": "a rough guess"}[plan["seconds_from"]]
    lines = (
        ("rows", f"{plan['rows']:,} to train on, {plan['steps']:,} steps"),
        ("time", f"about {plan['seconds_estimate']:,.0f} s for the steps ({how})"),
        ("memory", f"about {plan['memory_bytes_estimate'] / 1e9:.2f} GB"),
        ("rank", f"{plan['rank_after']} of {plan['rank_limit']} after it, "
                 f"room for {plan['tasks_left']} more tasks like it"),
        ("parent", f"version {plan['parent']}"),
        ("answers", f"{plan['answers']:,} to evaluate it, at most {plan['answers_limit']:,} "
                    "where the gate is in doubt and answers were lost"),
    )  # fmt: skip
    for name, text in lines:
        console.print(Text(f"{name:<7} {text}"), soft_wrap=True)
    console.print(Text("nothing was kept; --json shows the whole plan", "dim"))


def bars(unit: str) -> Progress:
    """Return progress bars that count a unit, on stderr where that is a terminal."""
    return Progress(
        TextColumn("{task.description:<20}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=context.errors,
        disable=not context.errors.is_terminal,
    )


class JobProgress:
    """Show a job's events as one bar per phase; its last word is the caller's to say."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.errors: list[str] = []  # as shown
        self.bars = Progress(
            TextColumn("{task.fields[phase]:<9}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
            disable=not console.is_terminal,  # there are lines instead
        )
        self._current: TaskID | None = None
        self._phase = ""

    def follow(self, events: Iterable[Json]) -> None:
        """Consume events until they end."""
        with self.bars:
            for event in events:
                self.show(event)
            self._finish_phase()

    def show(self, event: Json) -> None:
        """Show one event."""
        kind, data = event["kind"], event["data"]
        if kind == "phase":
            self._start_phase(data)
        elif kind == "progress":
            self._progress(data)
        elif kind in ("warning", "error", "log"):
            style = {"warning": "yellow", "error": "red"}.get(kind, "dim")
            message = str(data.get("message", data))
            if kind == "error":
                self.errors.append(message)
            self._say(message, style)
        elif kind == "state" and data.get("reason") and data["state"] not in TERMINAL:
            self._say(f"{data['state']}: {data['reason']}")

    def _say(self, text: str, style: str | None = None) -> None:
        self.console.print(Text(text, style or ""))

    def _start_phase(self, data: Json) -> None:
        if data.get("state", "running") != "running":
            if not self.console.is_terminal:  # no bars there: one line for each phase
                self._say(f"{data['phase']}: {data.get('seconds', 0):.1f} s")
            return
        self._finish_phase()
        self._phase = str(data["phase"])
        self._current = self.bars.add_task("", phase=self._phase, note="", total=None)

    def _progress(self, data: Json) -> None:
        if data.get("phase", self._phase) != self._phase or self._current is None:
            self._start_phase({"phase": data["phase"]})
        assert self._current is not None
        self.bars.update(
            self._current,
            completed=data.get("done") or 0,
            total=data.get("total"),
            note=str(data.get("message") or ""),
        )

    def _finish_phase(self) -> None:
        if self._current is not None:
            total = self.bars.tasks[self._current].total or 1
            self.bars.update(self._current, completed=total, total=total)
            self.bars.stop_task(self._current)
            self._current = None
