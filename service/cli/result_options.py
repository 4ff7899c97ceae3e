"""What `retain eval` and `retain report` share: how a results folder is read, and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from service.cli import context, view
from service.cli.context import console

if TYPE_CHECKING:
    from eval.results.finding import ReferenceSource

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


def source_of(given: Sequence[str] | None) -> ReferenceSource:
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


def scorers_of(given: Sequence[str] | None) -> dict[str, str] | None:
    """Return scorers by task; `*` is for all others."""
    found: dict[str, str] = {}
    for text in given or ():
        task, divided, name = text.rpartition("=")
        found[task if divided else "*"] = name
    return found or None


def names_in(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def refusing(hint: str = "") -> Iterator[None]:
    """End the command with the message of what evaluation refuses; `hint` if it is no results."""
    from asd_rewriter.errors import OutputRefused
    from eval.errors import EvalError
    from eval.results.errors import ResultsRefused

    try:
        yield
    except (EvalError, OutputRefused) as error:
        is_other = isinstance(error, ResultsRefused)
        context.fail(f"{error.message} {hint if is_other else ''}".strip())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except OSError as error:
        context.fail(f"cannot read or write {error.filename or 'a file'}: {error.strerror}.")


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield what shows progress: a bar on stderr, where that is a terminal."""
    bars = view.bars("files")
    bar = bars.add_task("scoring", total=None)
    with bars:
        yield lambda task, done, total: bars.update(
            bar, description=f"scoring {task}", completed=done, total=total
        )


def check_outputs(read: Path, out: Path | None, output: Path | None = None) -> None:
    """Refuse what could not be written, or would be read next time, before the work is done."""
    from asd_rewriter.output import check_free, check_free_file, check_outside

    if out is not None:
        check_outside(out, read)
        check_free(out)
    if output is not None:
        check_free_file(output)


def say(text: str, shown_on: Console = console) -> None:
    shown_on.print(Text(text), soft_wrap=True)
