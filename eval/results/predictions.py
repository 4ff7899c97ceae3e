"""Predictions: what a model answered, by question id."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from eval.results.errors import PredictionsMismatch, ResultsRefused
from eval.results.files import Row, read_rows, shown

ID_KEYS = ("question_id", "questionId", "id")
_ANSWER_KEYS = ("text", "answer", "prediction")
MAX_ANSWER_CHARS = 100_000
"""Longest answer read. The reference scripts stop at 1,024 tokens, some thousand characters."""


class Prediction(NamedTuple):
    """One answer, what was asked if the file says so, and where it stands."""

    answer: str
    prompt: str | None
    place: str


def read_predictions(path: Path) -> dict[str, Prediction]:
    """Return the answers in a file by question id; an empty answer is an answer.

    Rows hold `question_id` (or `id`), `text` (or `answer`, `prediction`) and, if wanted, `prompt`.

    Raises:
        ResultsRefused: if the file holds no row, or a row has no id or no text, or one that is
            longer than `MAX_ANSWER_CHARS`.
        PredictionsMismatch: if two rows have the same id.
    """
    found: dict[str, Prediction] = {}
    for row in read_rows(path):
        key = id_of(row)
        if key in found:
            raise PredictionsMismatch(
                f"{row.place}: id {key!r} was answered before, in {found[key].place}. Keep one "
                "answer a question: was a file joined with itself, or two runs mixed?"
            )
        found[key] = _prediction(row)
    if not found:
        raise ResultsRefused(
            f"{path} holds no prediction. Run the evaluation that writes it again."
        )
    return found


def id_of(row: Row) -> str:
    """Return a row's id as text; raises ResultsRefused."""
    for key in ID_KEYS:
        value = row.value.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
        if value is not None:
            raise ResultsRefused(
                f"{row.place}: {key} is {shown(value)}, expected a text or number."
            )
    raise ResultsRefused(f"{row.place}: no id. Give one as 'id' or 'question_id'.")


def _prediction(row: Row) -> Prediction:
    key = next((key for key in _ANSWER_KEYS if key in row.value), None)
    if key is None:
        raise ResultsRefused(f"{row.place}: no answer. Give it as 'text' or 'answer'.")
    answer: Any = row.value[key]
    if not isinstance(answer, str):
        raise ResultsRefused(
            f"{row.place}: {key} is {shown(answer)}, expected a text. Write what the model said, "
            '"" if it said nothing.'
        )
    if len(answer) > MAX_ANSWER_CHARS:
        raise ResultsRefused(
            f"{row.place}: the answer has {len(answer):,} characters, the limit is "
            f"{MAX_ANSWER_CHARS:,}. Cut it where the model should have stopped."
        )
    prompt = row.value.get("prompt")
    return Prediction(answer, prompt if isinstance(prompt, str) else None, row.place)
