"""`retain eval` and `retain report`: scores and reports of result folders, without a service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from service.cli import context, view
from service.cli.context import JsonFlag, connect, console, print_json
from service.client import part

if TYPE_CHECKING:
    from eval.api import RunReport, ScoredRun
    from eval.results.finding import ReferenceSource

FOLDER_HINT = "For the report on a version of a stream, name it: demo@3."

References = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH|TASK=FILE",
        help="Questions and accepted answers: a folder (CoIN's annotations), or a task's file. "
        "Repeatable; else `references` in the run's folder.",
    ),
]
Layout = Annotated[
    Literal["retain", "coin", "mcitlib", "prism"] | None,
    typer.Option(help="How the folder is laid out; else found out, and said."),
]
Tasks = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", help="Order of learning, where the folder does not tell it."),
]
Run = Annotated[
    str | None, typer.Option(help="Which of several runs side by side, as MCITlib keeps them.")
]
Scorers = Annotated[
    list[str] | None,
    typer.Option("--scorer", metavar="[TASK=]NAME", help="How to score; repeatable."),
]
Mode = Annotated[
    Literal["fixed", "published"],
    typer.Option(help="Repaired rules, or those of the papers' code with their quirks."),
]
AnyPrompt = Annotated[
    bool,
    typer.Option("--any-prompt", help="Do not compare prompts in predictions with the questions."),
]
NewFolder = Annotated[Path | None, typer.Option(help="Write everything into this new folder.")]


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

    with _refusing(), _progress() as tell:
        scored = score_run(
            predictions,
            _source(references),
            layout=layout,
            tasks=_names(tasks),
            run=run,
            scorers=_scorers(scorer),
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
        _say(f"written to {out}")


def report(
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION|RUNDIR|MATRIX",
            help="stream@number, e.g. demo@3; or a run's results folder; or a matrix (.csv, .json)",
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="Write a self-contained HTML page.")] = None,
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
        _refuse_options(version, any(it is not None for it in given) or any_prompt)
        return _report_version(version, output, as_json)
    from eval.api import report_run

    with _refusing(FOLDER_HINT), _progress() as tell:
        found = report_run(
            version,
            _source(references),
            images=images,
            n=n,
            layout=layout,
            tasks=_names(tasks),
            run=run,
            scorers=_scorers(scorer),
            mode=mode,
            check_prompts=not any_prompt,
            on_progress=tell,
        )
        if out is not None:
            found.write(out)
    _show_report(found, output, out, as_json)


def _report_version(version: str, output: Path | None, as_json: bool) -> None:
    stream, _, number = version.partition("@")
    path = f"/v1/streams/{part(stream)}/versions/{part(number or 'production')}/report"
    with connect() as client:
        if as_json:
            return print_json(client.get(path))
        if output is not None:
            return _write_page(output, client.text(path, format="html"))
        _show_markdown(client.text(path, format="markdown"))


def _refuse_options(version: str, given: bool) -> None:
    if given:
        raise typer.BadParameter(
            f"{version} is no results folder here, and only --output and --json go with a version."
        )


def _show_report(found: RunReport, output: Path | None, out: Path | None, as_json: bool) -> None:
    if as_json:
        return print_json(json.loads(found.json()))
    for note in found.notes:
        _say(note)
    if output is not None:
        _write_page(output, found.html())
    if out is not None:
        _say(f"written to {out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if output is None and out is None:
        _show_markdown(found.markdown())


def _show_markdown(text: str) -> None:
    from rich.markdown import Markdown

    console.print(Markdown(text))


def _write_page(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        context.fail(
            f"cannot write {path}: {error.strerror}. Give --output a file in a folder that is "
            "there and may be written to."
        )
    _say(f"written to {path}")


def _source(given: Sequence[str] | None) -> ReferenceSource:
    """Return where references are looked for: `TASK=FILE` names one task's, other texts places."""
    from eval.results.finding import ReferenceSource

    places: list[Path] = []
    named: dict[str, Path] = {}
    for text in given or ():
        task, divided, path = text.partition("=")
        if divided and not Path(text).exists():
            named[task] = Path(path)
        else:
            places.append(Path(text))
    return ReferenceSource(places, named)


def _scorers(given: Sequence[str] | None) -> dict[str, str] | None:
    """Return scorers by task; `*` is for all others."""
    found: dict[str, str] = {}
    for text in given or ():
        task, divided, name = text.rpartition("=")
        found[task if divided else "*"] = name
    return found or None


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def _refusing(hint: str = "") -> Iterator[None]:
    """End the command with the message of what evaluation refuses."""
    from eval.errors import EvalError

    try:
        yield
    except EvalError as error:
        context.fail(f"{error.message} {hint}".strip())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except OSError as error:
        context.fail(f"cannot read or write {error.filename or 'a file'}: {error.strerror}.")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield what shows progress: a bar on stderr, where that is a terminal."""
    bars = Progress(
        TextColumn("{task.description:<20}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeElapsedColumn(),
        console=context.errors,
        disable=not context.errors.is_terminal,
    )
    bar = bars.add_task("scoring", total=None)
    with bars:
        yield lambda task, done, total: bars.update(
            bar, description=f"scoring {task}", completed=done, total=total
        )


def _show(scored: ScoredRun) -> None:
    _say(scored.run.said())
    columns = ("version", "task", "scorer", "points", "95 % interval", "n", "empty")
    body: list[tuple[Any, ...]] = [
        (row.version, row.task, row.scorer, f"{row.points:.2f}",
         f"{row.low:.1f} to {row.high:.1f}", f"{row.n:,}", row.empty or None)
        for row in scored.table()
    ]  # fmt: skip
    view.show(console, view.table("scores", columns, body))
    for note in scored.notes:
        _say(f"note: {note}")


def _say(text: str) -> None:
    console.print(Text(text), soft_wrap=True)
