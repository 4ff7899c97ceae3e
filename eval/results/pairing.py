"""Predictions and items of one task, brought together by id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.items import EvalItem
from eval.results.errors import PredictionsMismatch
from eval.results.files import shown
from eval.results.predictions import Prediction


def pair(
    items: Sequence[EvalItem],
    predictions: Mapping[str, Prediction],
    path: Path,
    check_prompts: bool = True,
) -> dict[str, str]:
    """Return the answers by item digest: every item has one, and every answer has its item.

    Args:
        items: of one task.
        predictions: by question id.
        path: the predictions' file, for messages.
        check_prompts: whether a prompt that a prediction states must contain the item's question,
            or the question the prompt; case, white space and punctuation do not matter.

    Raises:
        PredictionsMismatch: if ids are missing or unknown, or another question was asked.
    """
    task, known = items[0].task, {item.id: item for item in items}
    unknown = [key for key in predictions if key not in known]
    if unknown:
        raise PredictionsMismatch(
            f"{path}: {len(unknown)} of {len(predictions)} predictions are of no question of task "
            f"{task!r}, the first is {unknown[0]!r} ({predictions[unknown[0]].place}). They are of "
            "another dataset or another version of it: give the references that were asked."
        )
    missing = [item.id for item in items if item.id not in predictions]
    if missing:
        raise PredictionsMismatch(
            f"{path}: {len(missing)} of the {len(items)} questions of task {task!r} have no "
            f"prediction, the first is {missing[0]!r}. A score over a part would mislead: answer "
            "them, or give the references of the part that was asked."
        )
    if check_prompts:
        _check_prompts(task, known, predictions)
    return {item.digest: predictions[item.id].answer for item in items}


def _check_prompts(
    task: str, known: Mapping[str, EvalItem], predictions: Mapping[str, Prediction]
) -> None:
    other = [
        key
        for key, given in predictions.items()
        if given.prompt is not None and not _same(given.prompt, known[key])
    ]
    if other:
        first = predictions[other[0]]
        raise PredictionsMismatch(
            f"{first.place}: question {other[0]!r} of task {task!r} was asked as "
            f"{shown(first.prompt)}, the references ask {shown(known[other[0]].question)} "
            f"({len(other)} of {len(predictions)} differ). The predictions are of another dataset "
            "version, or the wording was changed on purpose: then add --any-prompt."
        )


def _same(prompt: str, item: EvalItem) -> bool:
    asked, stated = _words(item.question), _words(prompt)
    return asked in stated or stated in asked or _words(item.prompt) in stated


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.replace("<image>", " ").casefold()))
