"""How answers look in a terminal: tables, the accuracy matrix, live job progress."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from service.workflow.states import TERMINAL

Json = dict[str, Any]
WRAPPED = ("base",)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a plain table; None shows as a dash. Ids and names are never broken."""
    view = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE
    )
    for column in columns:
        view.add_column(column, no_wrap=column not in WRAPPED, overflow="ellipsis")
    for row in rows:
        view.add_row(*("-" if cell is None else escape(str(cell)) for cell in row))
    return view


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


class JobProgress:
    """Show a job's events as one bar per phase; its last word is the caller's to say."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.fields[phase]:<9}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
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
            self._say(str(data.get("message", data)), style)
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
