"""The predictor for versions that no engine serves: asks a worker process, see `eval.worker`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.decoding import Decoding
from eval.errors import ConstraintUnsupported, WorkerFailed
from eval.images import check_image
from eval.items import EvalItem
from eval.predictors import OnProgress, Prediction, distinct_items
from eval.worker import Worker

_POLL_SECONDS = 0.2


def _never() -> None:
    return


class OfflinePredictor:
    """Asks a worker, which decodes greedily in batches and knows no other penalties or extras.

    Args:
        worker: answers; whoever made it closes it.
        blob_dir: folder with the images, the one that the worker reads.
        decoding: its length limit counts.
        check: called several times a second while waiting, also while the model loads; an
            exception raised in it stops the prediction.
    """

    constrains = False

    def __init__(
        self,
        worker: Worker,
        blob_dir: Path,
        decoding: Decoding | None = None,
        *,
        check: Callable[[], None] = _never,
    ) -> None:
        self.worker = worker
        self.blob_dir = blob_dir
        self.decoding = decoding or Decoding()
        self.check = check

    async def predict(
        self, items: Sequence[EvalItem], on_progress: OnProgress | None = None
    ) -> AsyncGenerator[Prediction, None]:
        """Yield the worker's answers as they come; see `Predictor.predict`.

        Leaving early ends the worker's process: the next request starts another.

        Raises:
            EngineGone, EngineRefused, WorkerOutOfMemory, WorkerFailed: see `Worker.receive`.
            ItemImageMissing: if an image cannot be read; then nothing was asked.
            ConstraintUnsupported: if an item has a constraint; then nothing was asked.
        """
        waiting = distinct_items(items)
        total = len(waiting)
        if not waiting:
            return
        request = self._request(waiting)
        try:
            self.worker.send(request)
            while waiting:
                yield await self._next(waiting)
                if on_progress is not None:
                    on_progress(total - len(waiting), total)
        finally:
            if waiting:  # what it still works on nobody wants any more
                self.worker.close()

    def _request(self, items: Mapping[str, EvalItem]) -> dict[str, Any]:
        for item in items.values():
            if item.constraint is not None:
                raise ConstraintUnsupported(
                    f"item {item.id!r} forces its answer, which the offline worker cannot do. "
                    "Leave such probes out for this version, or ask an engine."
                )
            for image in item.images:
                check_image(self.blob_dir, image)
        questions = [
            {"id": digest, "text": item.prompt, "images": item.images}
            for digest, item in items.items()
        ]
        return {"max_tokens": self.decoding.max_tokens, "questions": questions}

    async def _next(self, waiting: dict[str, EvalItem]) -> Prediction:
        while True:
            self.check()
            answer = await asyncio.to_thread(self.worker.receive, _POLL_SECONDS)
            if answer is not None:
                break
        if waiting.pop(answer["id"], None) is None:
            raise WorkerFailed(
                f"the offline worker answered {answer['id']!r}, which it was not asked."
            )
        return Prediction(item_digest=answer["id"], text=answer["text"])
