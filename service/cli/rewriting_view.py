"""What `retain rewrite` shows: progress, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import TaskID
from rich.text import Text

from service.cli import view
from service.cli.context import console

if TYPE_CHECKING:
    from asd_rewriter.api import DatasetReport
    from asd_rewriter.detection import Detection

STAGES = {"detect": "detecting the format", "read": "reading", "ask": "asking", "write": "writing"}


@contextmanager
def progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield what shows progress: a bar on stderr, where that is a terminal."""
    bars = view.bars("rows")
    known: dict[str, TaskID] = {}

    def tell(stage: str, done: int, total: int | None) -> None:
        if stage not in known:
            known[stage] = bars.add_task(STAGES.get(stage, stage), total=total)
        bars.update(known[stage], completed=done, total=total)

    with bars:
        yield tell


def show(report: DatasetReport, out: Path, cache: Path | None) -> None:
    """Print what a rewriting did, what stayed as it was and why, and the next step.

    `cache`: the file with a model's answers, if one was asked.
    """
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
    if cache is not None:
        show_undone(report, out, cache)
    _show_next(report, out)


def show_undone(report: DatasetReport, out: Path, cache: Path, shown_on: Console = console) -> None:
    """Print where the model's answers are, and how to go on where some are lacking."""
    _say(f"the model's answers are kept in {cache}", shown_on)
    reasons = {name.rpartition(":")[2] for name in report.rejects}
    if "budget_spent" in reasons:
        _say("not done: the budget was spent before all was asked. To go on, repeat the command "
             f"with --cache {quote(str(cache))}, --out {quote(f'{out}-2')} and a larger budget "
             "(what was spent before counts): what the cache holds is not asked again",
             shown_on)  # fmt: skip
    elif report.requested and not report.converted:
        _say("not done: no answer of the model was of use. Try another --llm-model; what this one "
             f"answered is not asked again while {cache} is there", shown_on)  # fmt: skip


def _show_next(report: DatasetReport, out: Path) -> None:
    if report.requested and not report.converted:
        return _say(f"nothing was rewritten: {out} holds the rows of the input in their own "
                    "formats, and to train on them is no ASD")  # fmt: skip
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


def _say(text: str, shown_on: Console = console) -> None:
    shown_on.print(Text(text), soft_wrap=True)
