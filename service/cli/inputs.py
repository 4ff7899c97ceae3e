"""What people type or keep in files, checked before anything is sent."""

from __future__ import annotations

import json
import math
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

CARD_HINT = (
    'A card looks like {"name": "kitchen", "answer_format": "short_answer", '
    '"metric": "exact_match", "splits": {"train": "train.json"}}.'
)
_NUMBER = re.compile(r"[0-9]{1,9}")


def read_options(text: str, hint: str) -> dict[str, Any]:
    """Return the JSON object in an option's value, or in the file that `@file` names."""
    if not text:
        return {}
    if not text.startswith("@"):
        return _object(text, _shown(text), hint)
    return _object_in(Path(text[1:]), hint)


def read_card(path: Path) -> dict[str, Any]:
    """Return the task card in a file."""
    try:
        return _object_in(path, CARD_HINT)
    except typer.BadParameter as error:
        error.param_hint = "--card"
        raise


def version_or_previous(text: str) -> int | str:
    """Return a version's number, or "previous"."""
    if text == "previous":
        return text
    if _NUMBER.fullmatch(text):
        return int(text)
    raise typer.BadParameter(
        f"{text!r} names no version. Give a version's number, such as 2 ('retain versions' "
        "lists them), or 'previous'."
    )


def percent(value: float) -> float:
    """Return a number from 0 to 100."""
    if not 0 <= value <= 100:
        raise typer.BadParameter(f"{value} is not a percentage. Give a number from 0 to 100.")
    return value


def _object_in(path: Path, hint: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}. {hint}") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not a text file in UTF-8. {hint}") from error
    return _object(text, str(path), hint)


def _object(text: str, shown: str, hint: str) -> dict[str, Any]:
    number = partial(_finite_number, hint=hint)
    try:
        value = json.loads(text, parse_constant=number, parse_float=number)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{shown} is not JSON: {error}. {hint}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{shown} is not a JSON object. {hint}")
    return value


def _finite_number(text: str, hint: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise typer.BadParameter(f"the number {text} cannot be sent: it is not finite. {hint}")
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def _json_option(what: str, like: str) -> Any:
    hint = f"Give an object like '{like}', or @file with one."
    return typer.Option(
        parser=partial(read_options, hint=hint),
        metavar="JSON",
        help=f"{what} JSON object, or @file with one.",
    )


JsonObject = dict[str, Any] | None
MethodConfig = Annotated[
    JsonObject, _json_option("The method's options (docs/methods).", '{"rank": 16}')
]
TrainingNumbers = Annotated[
    JsonObject,
    _json_option(
        "How tasks are trained (docs/streams.md).", '{"epochs": 2, "learning_rate": 1e-4}'
    ),
]
Rewriting = Annotated[
    JsonObject,
    _json_option(
        "How rows are rewritten: formats, unit, engine, review (docs/streams.md).",
        '{"engine": "llm", "review": true}',
    ),
]
GatePolicy = Annotated[
    JsonObject,
    _json_option(
        "How much a version may forget (docs/streams.md).",
        '{"max_drop_per_task": 5, "min_samples": 50}',
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**31 - 1, help="Of rewriting and training (0).")
]
EvalLimit = Annotated[
    int | None, typer.Option(min=1, max=100_000, help="Items per task a version is asked (200).")
]
ProbeLimit = Annotated[
    int | None,
    typer.Option(min=0, max=10_000, help="Lost answers per old task that are asked again (32)."),
]
FutureTasks = Annotated[
    bool, typer.Option("--future-tasks", help="Ask earlier versions later tasks too.")
]
TaskOptions = Annotated[
    JsonObject,
    _json_option(
        "What this task does differently: method_config, hyperparameters, x_percent, asd, "
        "seed, parent, eval_limit, probe_limit, future_tasks (docs/streams.md).",
        '{"hyperparameters": {"epochs": 2}, "seed": 1}',
    ),
]
