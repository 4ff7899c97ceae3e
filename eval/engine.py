"""The predictor for versions that an engine serves: asks an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx

from eval.decoding import Decoding
from eval.errors import EngineGone, EngineRefused
from eval.images import image_data_url
from eval.items import EvalItem
from eval.predictors import OnProgress, Prediction, distinct_items


class EnginePredictor:
    """Asks an OpenAI-compatible server, images before the text, greedy decoding.

    Connection errors, 429, 5xx and answers that the engine aborted are tried again after
    `backoff_seconds`, doubled each time; other refusals are final. Environment proxies are not
    used.

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
        is_https = self.base_url.startswith("https:")
        self._tls = httpx.create_ssl_context(trust_env=False) if is_https else False

    async def predict(
        self, items: Sequence[EvalItem], on_progress: OnProgress | None = None
    ) -> AsyncGenerator[Prediction, None]:
        """Yield the engine's answers as they complete; see `Predictor.predict`."""
        distinct = distinct_items(items)
        waiting = iter(distinct.values())
        lines = [self._line(waiting) for _ in range(min(self.concurrency, len(distinct)))]
        async with aclosing(_merged(lines)) as predictions:
            done = 0
            async for prediction in predictions:
                yield prediction
                done += 1
                if on_progress is not None:
                    on_progress(done, len(distinct))

    async def _line(self, waiting: Iterator[EvalItem]) -> AsyncGenerator[Prediction, None]:
        """Ask one waiting item after the other over a connection of its own.

        A pool of all connections would look through them all, several times a request.
        """
        async with self._client() as client:
            for item in waiting:
                yield await self._ask(client, item)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=self.headers,
            timeout=httpx.Timeout(self.timeout_seconds, connect=10.0),
            limits=httpx.Limits(max_connections=1),
            trust_env=False,
            verify=self._tls,
        )

    async def _ask(self, client: httpx.AsyncClient, item: EvalItem) -> Prediction:
        body = self.request(item)
        problem = ""
        for attempt in range(self.attempts):
            if attempt:
                await asyncio.sleep(self.backoff_seconds * 2 ** (attempt - 1))
            try:
                response = await client.post(f"{self.base_url}/chat/completions", json=body)
            except httpx.RequestError as error:
                problem = f"{type(error).__name__}: {error}".rstrip(": ")
                continue
            if response.status_code == 429 or response.status_code >= 500:
                problem = f"HTTP {response.status_code}: {_excerpt(response)}"
                continue
            text = self._text(response, item)
            if text is not None:
                return Prediction(item_digest=item.digest, text=text)
            problem = "an answer that it had aborted"
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

    def _text(self, response: httpx.Response, item: EvalItem) -> str | None:
        """Return the answer, or None if the engine aborted it, as vLLM does when it ends."""
        if response.status_code != 200:
            raise EngineRefused(
                f"the engine at {self.base_url} refused item {item.id!r} for model "
                f"{self.model!r} with HTTP {response.status_code}: {_excerpt(response)}. The "
                "same request would be refused again; check the model's name and the item."
            )
        try:
            choice = response.json()["choices"][0]
            text = choice["message"]["content"] or ""
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise EngineRefused(
                f"the engine at {self.base_url} answered item {item.id!r} with something that is "
                f"no chat completion: {_excerpt(response)}. Point base_url at an "
                "OpenAI-compatible server."
            ) from error
        return None if choice.get("finish_reason") == "abort" else text


async def _merged(
    sources: Sequence[AsyncGenerator[Prediction, None]],
) -> AsyncGenerator[Prediction, None]:
    """Yield what the sources yield, as it comes; on any error end them all.

    A source goes on at once, whether or not its result was taken.
    """
    results: asyncio.Queue[Prediction | Exception | None] = asyncio.Queue()

    async def work(source: AsyncGenerator[Prediction, None]) -> None:
        try:
            async with aclosing(source):
                async for found in source:
                    results.put_nowait(found)
            results.put_nowait(None)
        except Exception as error:
            results.put_nowait(error)

    workers = [asyncio.create_task(work(source)) for source in sources]
    try:
        for _worker in workers:
            while (found := await results.get()) is not None:
                if isinstance(found, Exception):
                    raise found
                yield found
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _excerpt(response: httpx.Response) -> str:
    return " ".join(response.text[:300].replace("\0", "").split())
