"""Who answers for a version while it is evaluated: its engine, or a worker where none can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters_store.backends import LocalBlobStore
from adapters_store.servable import verify_servable
from eval.decoding import Decoding
from eval.offline import OfflinePredictor
from eval.predictors import Predictor
from eval.worker import Worker
from service.db.tables import StreamRow, VersionRow
from service.engines.client import EngineAnswer
from service.engines.lifecycle import Check
from service.engines.proof import Proof, prove
from service.workflow.context import Context, Facts
from trainer.spec import AnswerSpec, BaseModelSpec, Canary, CanaryPrompt, Precision

_CHECK_SECONDS = 0.1
_POLL_SECONDS = 0.2


class Answering:
    """Predictors for the versions of one job; a context manager that ends its worker.

    At most one worker runs: that of the version asked last, its model loaded. As an engine, it is
    asked only after it has reproduced the version's canary.
    """

    def __init__(self, ctx: Context, facts: Facts) -> None:
        self._ctx = ctx
        self._stream = facts.stream
        self._worker: Worker | None = None
        self._answers_as = ""
        self._engine_version = ""

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker, if one runs."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def engine_version(self, version: VersionRow) -> str:
        """Return what a version's answers depend on besides itself.

        The first call may wait for an engine: all engines of a service are of one build.
        """
        tools = self._ctx.tools
        if version.servable_by == "offline":
            return f"offline {tools.workers.build()} {_canary(tools.blobs, version).dtype}"
        if not self._engine_version:
            running = tools.engines.ensure_running_for(version, self._ctx.check)
            self._engine_version = running.engine_version
        return self._engine_version

    @contextmanager
    def predictor(self, version: VersionRow, decoding: Decoding) -> Iterator[Predictor]:
        """Lend a predictor for a version that is ready to answer.

        Raises EngineProofFailed, what engines raise, and CorruptContent for a changed servable.
        """
        tools = self._ctx.tools
        if version.servable_by == "offline":
            worker = self._worker_of(version)
            yield OfflinePredictor(worker, tools.blobs.root, decoding, check=self._check)
            return
        with tools.engines.use(version, self._ctx.check) as route:
            yield tools.make_predictor(route, tools.blobs.root, decoding)

    def _check(self) -> None:
        self._ctx.check(max_age_seconds=_CHECK_SECONDS)

    def _worker_of(self, version: VersionRow) -> Worker:
        if self._worker is None or self._answers_as != version.id:
            self.close()
            self._worker, self._answers_as = self._started(version), ""
            prove_worker(self._worker, _canary(self._ctx.tools.blobs, version), self._check)
            self._answers_as = version.id
        return self._worker

    def _started(self, version: VersionRow) -> Worker:
        tools = self._ctx.tools
        servable = Path(version.servable_path)
        verify_servable(servable.parent, version.servable_digest)
        precision = _canary(tools.blobs, version).dtype
        spec = answer_spec(self._stream, version, tools.blobs.root, precision)
        return tools.workers.make(spec, self._ctx.work_dir / "answering" / str(version.number))


def answer_spec(
    stream: StreamRow, version: VersionRow, blob_dir: Path, precision: Precision
) -> AnswerSpec:
    """Return how a worker composes a version, in whichever form it is served, from its servable."""
    servable = Path(version.servable_path)
    merged = version.servable_by == "merged"
    lineage: list[Path] = []
    if version.servable_by == "lora":
        lineage = [servable]
    elif version.servable_by == "offline":
        lineage = sorted(servable.glob("delta-*"))
    return AnswerSpec(
        base=BaseModelSpec(
            path=str(servable) if merged else stream.base_path,
            source=stream.base_source,
            revision=stream.base_revision,
            digest=stream.base_digest,
        ),
        lineage=tuple(str(folder) for folder in lineage),
        blob_dir=str(blob_dir),
        precision=precision,
    )


def prove_worker(worker: Worker, canary: Canary, check: Check) -> Proof:
    """Return the proof that a worker answers as the canary's version; it tells texts only.

    `check` is called while waiting and may raise. Raises EngineProofFailed, and what workers raise.
    """

    def ask(prompt: CanaryPrompt, max_tokens: int) -> EngineAnswer:
        question = {"id": "canary", "text": prompt.question, "images": prompt.images}
        worker.send({"max_tokens": max_tokens, "questions": [question]})
        while (answer := worker.receive(_POLL_SECONDS)) is None:
            check()
        return EngineAnswer(answer["text"], ())

    prompts = tuple(it.model_copy(update={"logprobs": ()}) for it in canary.prompts)
    return prove(canary.model_copy(update={"prompts": prompts}), ask)


def _canary(blobs: LocalBlobStore, version: VersionRow) -> Canary:
    assert version.canary_digest is not None, "a registered version has a canary"
    with blobs.open(version.canary_digest, verify=True) as file:
        return Canary.model_validate_json(file.read())
