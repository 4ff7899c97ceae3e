"""What `retain rewrite` shows: progress, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from service.cli import context, view
from service.cli.context import console

if TYPE_CHECKING:
    from asd_rewriter.api import DatasetReport
    from asd_rewriter.detection import Detection

STAGES = {"detect": "detecting the format", "read": "reading", "ask": "asking", "write": "writing"}


@contextmanager
def progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield what shows progress: a bar on stderr, where that is a terminal."""
    bars = Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
        console=context.errors,
        disable=not context.errors.is_terminal,
    )
    known: dict[str, TaskID] = {}

    def tell(stage: str, done: int, total: int | None) -> None:
        if stage not in known:
            known[stage] = bars.add_task(STAGES.get(stage, stage), total=total)
        bars.update(known[stage], completed=done, total=total)

    with bars:
        yield tell


def show(report: DatasetReport, out: Path) -> None:
    """Print what a rewriting did, what stayed as it was and why, and the next step."""
    if report.detection is not None:
        _show_detection(report.detection)
    body = [
        (it.value, report.counts.get(it, 0), report.converted_by_format.get(it, 0))
        for it in report.counts
    ]
    view.show(console, view.table("turns", ("format", "in the set", "rewritten"), body))
    _say(f"{report.converted:,} of {report.turns:,} turns rewritten ({report.requested:,} asked)")
    if native := report.requested - report.converted:
        _say(f"{native:,} stay as they are: no format asked for is possible for them, or all failed"
             " (captions have no other format)")  # fmt: skip
    if report.rejects:
        _say("not rewritten, by format and reason (another format was tried): "
             + _listed(report.rejects))  # fmt: skip
    for note in report.notes:
        _say(f"note: {note}")
    if report.bad_rows:
        _show_bad_rows(report)
    _say(f"written to {out}: {', '.join(sorted(it.name for it in out.iterdir()))}")
    _say(f"next: look at {out / 'changes.jsonl'}, then train on the set, or pack it with its "
         "images and submit it with 'retain task submit'")  # fmt: skip


def _show_bad_rows(report: DatasetReport) -> None:
    body = [(it.row, it.line or None, it.id, it.message) for it in report.bad_spots]
    total = sum(report.bad_rows.values())
    title = f"bad rows, left as they are ({len(body)} of {total:,})"
    view.show(console, view.table(title, ("row", "line", "id", "problem"), body))
    _say(f"by reason: {_listed(report.bad_rows)}")


def _show_detection(found: Detection) -> None:
    _say(f"format {found.card.answer_format.value}: {found.reason}")
    body = [
        (it.value, f"{number:,}", f"{100 * number / found.turns:.1f} %",
         found.instructions.get(it))
        for it, number in found.formats.items()
    ]  # fmt: skip
    columns = ("answers look like", "turns", "share", "instructions for it")
    view.show(console, view.table("detected", columns, body))
    shown = [(it.format.value, it.question, it.answer) for it in found.examples]
    view.show(console, view.table("examples", ("format", "question", "answer"), shown))
    _say("the card made from this is card.json; correct it and give it with --card")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def _say(text: str) -> None:
    console.print(Text(text), soft_wrap=True)
