"""`retain report`: of a version, from the service, or of a run's results folder, without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.cli import context
from service.cli.context import JsonFlag, connect, console, print_json
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
from service.client import part

if TYPE_CHECKING:
    from eval.api import RunReport

FOLDER_HINT = "For the report on a version of a stream, name it: demo@3."


def report(
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION|RUNDIR|MATRIX",
            help="stream@number, e.g. demo@3; or a run's results folder; or a matrix (.csv, .json)",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write a self-contained HTML page, a new file.")
    ] = None,
    out: NewFolder = None,
    references: References = None,
    layout: Layout = None,
    tasks: Tasks = None,
    run: Run = None,
    scorer: Scorers = None,
    mode: Mode = "fixed",
    any_prompt: AnyPrompt = False,
    images: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Images of the questions.")
    ] = None,
    n: Annotated[
        int | None, typer.Option("--n", min=1, help="Items behind each number of a matrix.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a version, or a run of your own training scripts, learned and what it forgot.

    Example: `retain report demo@3 --output report.html`

    A run: `retain report results/CoIN/LLaVA --references annotations --out report`
    """
    if "@" in version or not Path(version).exists():
        given = (out, references, layout, tasks, run, scorer, images, n)
        idle = any_prompt or mode != "fixed" or any(it is not None for it in given)
        _refuse_options(version, idle)
        return _report_version(version, output, as_json)
    from asd_rewriter.output import write_whole
    from eval.api import report_run

    with refusing(FOLDER_HINT), ended_cleanly(out, output), progress() as tell:
        check_outputs(Path(version), out, output)
        found = report_run(
            version,
            source_of(references),
            images=images,
            n=n,
            layout=layout,
            tasks=names_in(tasks),
            run=run,
            scorers=scorers_of(scorer),
            mode=mode,
            check_prompts=not any_prompt,
            on_progress=tell,
        )
        if out is not None:
            found.write(out)
        if output is not None:
            write_whole(output, found.html())
    if as_json:
        return print_json(json.loads(found.json()))
    _show_report(found, output, out)


def _report_version(version: str, output: Path | None, as_json: bool) -> None:
    from asd_rewriter.output import check_free_file, write_whole

    stream, named, number = version.partition("@")
    lead = "" if named else f"no folder or file is called {version}; of a stream of that name: "
    path = f"/v1/streams/{part(stream)}/versions/{part(number or 'production')}/report"
    with refusing(), ended_cleanly(output), connect(lead) as client:
        if output is not None:
            check_free_file(output)
            write_whole(output, client.text(path, format="html"))
        if as_json:
            return print_json(client.get(path))
        if output is None:
            return _show_markdown(client.text(path, format="markdown"))
    _say_written(output)


def _refuse_options(version: str, given: bool) -> None:
    if given:
        raise typer.BadParameter(
            f"{version} is no results folder here, and only --output and --json go with a version."
        )


def _show_report(found: RunReport, output: Path | None, out: Path | None) -> None:
    shown_on = console if output is None else _beside(output)
    for note in found.notes:
        say(note, shown_on)
    if output is not None:
        _say_written(output)
    if out is not None:
        names = ", ".join(sorted(path.name for path in out.iterdir()))
        say(f"written to {out}: {names}", shown_on)
    if output is None and out is None:
        _show_markdown(found.markdown())


def _show_markdown(text: str) -> None:
    from rich.markdown import Markdown

    console.print(Markdown(text))


def _say_written(output: Path) -> None:
    say(f"written to {output}", _beside(output))


def _beside(output: Path) -> Console:
    """Return where words go that must not get into the page: it may be written to stdout."""
    from asd_rewriter.output import is_device

    return context.errors if is_device(output) else console
