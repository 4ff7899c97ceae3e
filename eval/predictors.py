"""Predictors: items in, answers out. From a script here; `eval.engine` asks the engine that serves,
`eval.offline` a worker process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from pydantic import BaseModel, ConfigDict, field_validator

from eval.items import EvalItem

OnProgress = Callable[[int, int], None]
"""Called with (items done, items in all) after each one was taken; what it raises ends it all."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class Prediction(BaseModel):
    """What a model answered to an item, as it is scored and stored.

    Characters that no database keeps are taken out of `text` here, once for all: NUL is left out,
    half a character (a lone surrogate) becomes U+FFFD.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_digest: str
    text: str

    @field_validator("text", mode="before")
    @classmethod
    def _storable(cls, text: object) -> object:
        return _SURROGATE.sub("\ufffd", text.replace("\0", "")) if isinstance(text, str) else text


class Predictor(Protocol):
    """Answers items. Items with equal digests are asked once and yielded once."""

    @property
    def constrains(self) -> bool:
        """Whether it can force an answer into an item's `constraint`."""
        ...

    def predict(
        self, items: Sequence[EvalItem], on_progress: OnProgress | None = None
    ) -> AsyncGenerator[Prediction, None]:
        """Yield one prediction per distinct item digest, in the order of completion.

        What was yielded before an error is valid: store it and ask only for the rest. Whoever
        leaves the loop early closes the generator (`contextlib.aclosing`).

        Raises:
            EngineGone: if the engine cannot be reached, or keeps failing (retryable).
            EngineRefused: if the engine refuses a request for good.
            ItemImageMissing: if an image cannot be read.
            ConstraintUnsupported: if an item has a constraint and `constrains` is false.
        """
        ...


def predict_all(
    predictor: Predictor,
    items: Sequence[EvalItem],
    on_progress: OnProgress | None = None,
    on_prediction: Callable[[Prediction], None] | None = None,
) -> list[Prediction]:
    """Return all predictions in the order of the items; for callers without an event loop.

    Args:
        predictor: answers.
        items: what to ask.
        on_progress: see `OnProgress`.
        on_prediction: called with each prediction as it arrives, for instance to store it.

    Raises:
        EvalError: as `Predictor.predict`; `on_prediction` has then seen what did arrive.
    """

    async def collect() -> dict[str, Prediction]:
        found = {}
        async with aclosing(predictor.predict(items, on_progress)) as predictions:
            async for prediction in predictions:
                if on_prediction is not None:
                    on_prediction(prediction)
                found[prediction.item_digest] = prediction
        return found

    found = asyncio.run(collect())
    return [found[digest] for digest in distinct_items(items)]


class ScriptedPredictor:
    """Answers from a function instead of a model; same contract, no engine.

    Args:
        answer: returns the text for an item; may raise an `EvalError`.
    """

    constrains = True

    def __init__(self, answer: Callable[[EvalItem], str]) -> None:
        self.answer = answer

    async def predict(
        self, items: Sequence[EvalItem], on_progress: OnProgress | None = None
    ) -> AsyncGenerator[Prediction, None]:
        """Yield the scripted answers, in the order of the items."""
        distinct = distinct_items(items)
        for done, (digest, item) in enumerate(distinct.items(), start=1):
            yield Prediction(item_digest=digest, text=self.answer(item))
            if on_progress is not None:
                on_progress(done, len(distinct))


def distinct_items(items: Sequence[EvalItem]) -> dict[str, EvalItem]:
    """Return the items by digest, of equal ones the first."""
    found: dict[str, EvalItem] = {}
    for item in items:
        found.setdefault(item.digest, item)
    return found
