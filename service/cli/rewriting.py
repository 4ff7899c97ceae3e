"""`retain rewrite`: Answer Style Diversification of a dataset on disk, without a service."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from service.cli import context, inputs
from service.cli.interrupts import ended_cleanly
from service.cli.rewriting_llm import LlmOptions
from service.cli.rewriting_view import progress, show, show_undone

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from asd_rewriter.cards import TaskCard
    from asd_rewriter.formats import AnswerFormat

FORMATS_HINT = "Give formats with shares that sum to 1, such as yes_no=0.5,multiple_choice=0.5."


def read_shares(text: str) -> dict[AnswerFormat, float]:
    """Return the shares in `yes_no=0.5,multiple_choice=0.5`."""
    from asd_rewriter.formats import ASD_FORMATS, AnswerFormat

    shares: dict[AnswerFormat, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        if name.strip() not in list(ASD_FORMATS):
            known = ", ".join(ASD_FORMATS)
            raise typer.BadParameter(
                f"{name.strip()!r} is no format to rewrite into; there are {known}. {FORMATS_HINT}"
            )
        if name.strip() in shares:
            raise typer.BadParameter(f"{name.strip()} is named twice in {text}. {FORMATS_HINT}")
        try:
            shares[AnswerFormat(name.strip())] = float(share)
        except ValueError as error:
            raise typer.BadParameter(
                f"{name.strip()} has the share {share!r}, which is not a number. {FORMATS_HINT}"
            ) from error
    if outside := [f"{it}={share:g}" for it, share in shares.items() if not 0 <= share <= 1]:
        raise typer.BadParameter(f"{outside[0]} is not a share from 0 to 1. {FORMATS_HINT}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise typer.BadParameter(
            f"the shares {text} sum to {sum(shares.values()):g}. {FORMATS_HINT}"
        )
    return shares


def rewrite(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="LLaVA .json or .jsonl, a CoIN task folder, or a Hugging Face datasets folder.",
        ),
    ],
    card: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Task card (JSON); else made from the rows."
        ),
    ] = None,
    x: Annotated[
        float, typer.Option("--x", callback=inputs.percent, help="Turns to rewrite, in percent.")
    ] = 20.0,
    formats: Annotated[
        Any,
        typer.Option(
            parser=read_shares,
            metavar="NAME=SHARE,...",
            help="Formats to rewrite into, with shares that sum to 1; else all five equally.",
        ),
    ] = None,
    unit: Annotated[
        Literal["turn", "sample"], typer.Option(help="Choose single turns, or whole rows.")
    ] = "turn",
    engine: Annotated[
        Literal["rules", "llm"], typer.Option(help="Who rewrites: rules need no model.")
    ] = "rules",
    llm_url: Annotated[
        str | None, typer.Option(help="OpenAI-compatible endpoint, e.g. http://127.0.0.1:8001/v1")
    ] = None,
    llm_model: Annotated[str | None, typer.Option(help="The endpoint's model name.")] = None,
    llm_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the endpoint's key.")
    ] = None,
    budget_calls: Annotated[int | None, typer.Option(min=1, help="At most so many calls.")] = None,
    budget_tokens: Annotated[
        int | None, typer.Option(min=1, help="At most so many tokens.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="File with the endpoint's answers, to go on from.")
    ] = None,
    image_root: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Where the rows' images are.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rows.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the result; else INPUT's name with -asd.")
    ] = None,
    kind: Annotated[
        Literal["json", "jsonl", "hf"] | None,
        typer.Option("--format", help="How to keep the result; else as INPUT is kept."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse bad rows, and a card that contradicts the rows."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, for machines.")
    ] = False,
) -> None:
    """Rewrite a share of a dataset's turns into other answer formats (ASD); no service is needed.

    Example: `retain rewrite train.json --card card.json --x 20 --out train-asd`

    A CoIN task: `retain rewrite annotations/GQA --out gqa-asd`
    """
    from asd_rewriter.api import rewrite_dataset
    from asd_rewriter.errors import AsdError
    from asd_rewriter.sources.base import Kind

    out = out or Path(f"{source.resolve().stem}-asd")
    llm = LlmOptions(
        llm_url, llm_model, llm_key_env, budget_calls, budget_tokens, cache, image_root, seed, out
    )
    kept_in = llm.cache_path if engine == "llm" else None
    known = _read_card(card)
    try:
        with ended_cleanly(out), ExitStack() as stack, progress() as tell:
            report = rewrite_dataset(
                source,
                out,
                known,
                x,
                formats=formats,
                unit=unit,
                rewriter=llm.engine(engine, stack),
                seed=seed,
                kind=Kind(kind) if kind else None,
                strict=strict,
                on_progress=tell,
            )
    except AsdError as error:
        context.fail(f"{error.message}{_kept(kept_in)}")
    except SystemExit:
        context.errors.print(Text(_kept(kept_in).strip()), soft_wrap=True)
        raise
    except OSError as error:
        context.fail(f"cannot write {out}: {error.strerror or error}. Nothing was left there.")
    if as_json:
        if kept_in is not None:
            show_undone(report, out, kept_in, context.errors)
        return context.print_json(report.model_dump(mode="json"))
    show(report, out, kept_in)


def _kept(cache: Path | None) -> str:
    """Return where a run that ended early left the model's answers."""
    return f" The answers so far are in {cache}." if cache and cache.exists() else ""


def _read_card(path: Path | None) -> TaskCard | None:
    from pydantic import ValidationError

    from asd_rewriter.cards import TaskCard

    if path is None:
        return None
    try:
        return TaskCard.model_validate(inputs.read_card(path))
    except ValidationError as error:
        problems = "; ".join(_problem(it) for it in error.errors())
        raise typer.BadParameter(
            f"{path}: {problems}. {inputs.CARD_HINT}", param_hint="--card"
        ) from error


def _problem(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    seen = error["input"]
    if isinstance(seen, str | int | float) and error["type"] != "value_error":
        message += f", not {str(seen)[:80]!r}"
    return ": ".join([*(str(it) for it in error["loc"]), message])
