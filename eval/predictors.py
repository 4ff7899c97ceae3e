"""Predictors: items in, answers out, from the engine that serves or from a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

import httpx
from pydantic import BaseModel, ConfigDict

from eval.decoding import Decoding
from eval.errors import EngineGone, EngineRefused
from eval.images import image_data_url
from eval.items import EvalItem

OnProgress = Callable[[int, int], None]
"""Called with (items done, items in all); an exception raised in it stops the prediction."""


class Prediction(BaseModel):
    """What a model answered to an item, untouched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_digest: str
    text: str


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
            prediction = Prediction(item_digest=digest, text=self.answer(item))
            if on_progress is not None:
                on_progress(done, len(distinct))
            yield prediction


class EnginePredictor:
    """Asks an OpenAI-compatible server, images before the text, greedy decoding.

    Connection errors, 429 and 5xx are tried again after `backoff_seconds`, doubled each time;
    other refusals are final. Environment proxies are not used.

    Args:
        base_url: of the server, with or without `/v1`.
        model: name under which the server knows the servable: its digest.
        blob_dir: folder with the images, see `eval.images.image_data_url`.
        decoding: length limit and engine-specific fields.
        concurrency: requests in flight (>= 1).
        attempts: tries per item (>= 1).
        backoff_seconds: wait before the second try.
        timeout_seconds: of one request.
        api_key: sent as bearer token, if given.
    """

    constrains = True

    def __init__(
        self,
        base_url: str,
        model: str,
        blob_dir: Path,
        decoding: Decoding | None = None,
        *,
        concurrency: int = 16,
        attempts: int = 4,
        backoff_seconds: float = 0.5,
        timeout_seconds: float = 120.0,
        api_key: str | None = None,
    ) -> None:
        if concurrency < 1 or attempts < 1:
            raise ValueError(
                f"concurrency and attempts must be at least 1: got {concurrency} and {attempts}."
            )
        self.base_url = base_url.rstrip("/").removesuffix("/v1") + "/v1"
        self.model = model
        self.blob_dir = blob_dir
        self.decoding = decoding or Decoding()
        self.concurrency = concurrency
        self.attempts = attempts
        self.backoff_seconds = backoff_seconds
        self.timeout_seconds = timeout_seconds
        self.headers = {"authorization": f"Bearer {api_key}"} if api_key else {}

    async def predict(
        self, items: Sequence[EvalItem], on_progress: OnProgress | None = None
    ) -> AsyncGenerator[Prediction, None]:
        """Yield the engine's answers as they complete; see `Predictor.predict`."""
        distinct = distinct_items(items)
        async with self._client() as client:
            jobs = (self._ask(client, item) for item in distinct.values())
            async with aclosing(_in_flight(jobs, self.concurrency)) as predictions:
                done = 0
                async for prediction in predictions:
                    done += 1
                    if on_progress is not None:
                        on_progress(done, len(distinct))
                    yield prediction

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=self.headers,
            timeout=httpx.Timeout(self.timeout_seconds, connect=10.0),
            limits=httpx.Limits(max_connections=self.concurrency),
            trust_env=False,
        )

    async def _ask(self, client: httpx.AsyncClient, item: EvalItem) -> Prediction:
        body = self.request(item)
        problem = ""
        for attempt in range(self.attempts):
            if attempt:
                await asyncio.sleep(self.backoff_seconds * 2 ** (attempt - 1))
            try:
                response = await client.post(f"{self.base_url}/chat/completions", json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}".rstrip(": ")
                continue
            if response.status_code != 429 and response.status_code < 500:
                return Prediction(item_digest=item.digest, text=self._text(response, item))
            problem = f"HTTP {response.status_code}: {_excerpt(response)}"
        raise EngineGone(
            f"the engine at {self.base_url} gave no answer to item {item.id!r} for model "
            f"{self.model!r} in {self.attempts} tries; the last one ended with {problem}. Check "
            "that the engine runs, then resume: answers that arrived are kept."
        )

    def request(self, item: EvalItem) -> dict[str, Any]:
        """Return the body of the chat request that asks an item. Raises ItemImageMissing."""
        urls = [image_data_url(self.blob_dir, digest) for digest in item.images]
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": url}} for url in urls
        ]
        content.append({"type": "text", "text": item.prompt})
        messages = [{"role": "user", "content": content}]
        fields = self.decoding.request_fields(item.constraint)
        return {**fields, "model": self.model, "messages": messages}

    def _text(self, response: httpx.Response, item: EvalItem) -> str:
        if response.status_code != 200:
            raise EngineRefused(
                f"the engine at {self.base_url} refused item {item.id!r} for model "
                f"{self.model!r} with HTTP {response.status_code}: {_excerpt(response)}. The "
                "same request would be refused again; check the model's name and the item."
            )
        try:
            text = response.json()["choices"][0]["message"]["content"] or ""
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, LookupError, TypeError) as error:
            raise EngineRefused(
                f"the engine at {self.base_url} answered item {item.id!r} with something that is "
                f"no chat completion: {_excerpt(response)}. Point base_url at an "
                "OpenAI-compatible server."
            ) from error
        return text


def distinct_items(items: Sequence[EvalItem]) -> dict[str, EvalItem]:
    """Return the items by digest, of equal ones the first."""
    found: dict[str, EvalItem] = {}
    for item in items:
        found.setdefault(item.digest, item)
    return found


async def _in_flight(
    jobs: Iterator[Coroutine[Any, Any, Prediction]], width: int
) -> AsyncGenerator[Prediction, None]:
    """Run the jobs, at most `width` at a time; yield results; on any error end the others."""
    running: set[asyncio.Task[Prediction]] = set()
    try:
        while True:
            while len(running) < width and (job := next(jobs, None)) is not None:
                running.add(asyncio.create_task(job))
            if not running:
                return
            finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            failures = [error for task in finished if (error := task.exception())]
            for task in finished:
                if task.exception() is None:
                    yield task.result()
            if failures:
                raise failures[0]
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _excerpt(response: httpx.Response) -> str:
    return " ".join(response.text[:300].split())
