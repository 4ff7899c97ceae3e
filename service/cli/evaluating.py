"""`retain eval`: scores of predictions as they lie on disk, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import view
from service.cli.context import console, print_json
from service.cli.interrupts import ended_cleanly
from service.cli.result_options import (
    AnyPrompt,
    Layout,
    Mode,
    NewFolder,
    References,
    Run,
    Scorers,
    Tasks,
    check_outputs,
    names_in,
    progress,
    refusing,
    say,
    scorers_of,
    source_of,
)

if TYPE_CHECKING:
    from eval.api import ScoredRun


def evaluate(
    predictions: Annotated[
        Path, typer.Option(help="A folder of results, or one file of predictions.")
    ],
    references: References = None,
    layout: Layout = None,
    tasks: Tasks = None,
    run: Run = None,
    scorer: Scorers = None,
    mode: Mode = "fixed",
    any_prompt: AnyPrompt = False,
    out: NewFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Score predictions as they lie on disk; no service is needed.

    Example: `retain eval --predictions results/CoIN/LLaVA --references annotations`

    CoIN, SEFE, MCITlib and Prism result folders are read as they are (docs/evaluate.md).
    """
    from eval.api import score_run

    with refusing(), ended_cleanly(out), progress() as tell:
        check_outputs(predictions, out)
        scored = score_run(
            predictions,
            source_of(references),
            layout=layout,
            tasks=names_in(tasks),
            run=run,
            scorers=scorers_of(scorer),
            mode=mode,
            check_prompts=not any_prompt,
            on_progress=tell,
        )
        if out is not None:
            scored.write(out)
    if as_json:
        return print_json(scored.facts())
    _show(scored)
    if out is not None:
        say(f"written to {out}")


def _show(scored: ScoredRun) -> None:
    say(scored.run.said())
    columns = ("version", "task", "scorer", "points", "95 % interval", "n", "empty")
    body: list[tuple[Any, ...]] = [
        (row.version, row.task, row.scorer, f"{row.points:.2f}",
         f"{row.low:.1f} to {row.high:.1f}", f"{row.n:,}", row.empty or None)
        for row in scored.table()
    ]  # fmt: skip
    view.show(console, view.table("scores", columns, body))
    for note in scored.notes:
        say(f"note: {note}")
