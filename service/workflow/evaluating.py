"""Asking versions: what is stored is not asked again, and what arrives is stored at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eval.decoding import Decoding, prediction_key
from eval.items import EvalItem
from eval.predictors import Prediction, predict_all
from eval.scoring import score_items
from service.db.tables import VersionRow
from service.workflow import measuring
from service.workflow.answering import Answering
from service.workflow.context import Context, Facts
from service.workflow.measuring import Measurement

_FLUSH_SECONDS = 1.0
_FLUSH_ANSWERS = 64


class Evaluation:
    """Answers of one job's versions; a context manager that ends the worker it may have started.

    `total` answers are to come, those that are stored included.
    """

    def __init__(self, ctx: Context, facts: Facts, total: int) -> None:
        self._ctx, self._answering = ctx, Answering(ctx, facts)
        self._tally = _Tally(ctx, total)

    def __enter__(self) -> Evaluation:
        return self

    def __exit__(self, *_error: object) -> None:
        self._answering.close()

    @property
    def asked(self) -> int:
        """How many answers were needed so far."""
        return self._tally.done

    def expect(self, more: int) -> None:
        """Say that further answers are to come."""
        self._tally.total += more

    def fill(self, wanted: Measurement) -> None:
        """Measure a cell and store it with the scores behind it."""
        answers = self.answers(wanted.version, wanted.items, wanted.decoding, wanted.task.name)
        keys = self._keys(wanted.version, wanted.items, wanted.decoding)
        scored = score_items(wanted.items, answers)  # may take long: not while the database is held
        self._ctx.tools.db.commit(
            lambda session: measuring.store_cell(session, wanted, scored, keys)
        )

    def answers(
        self, version: VersionRow, items: Sequence[EvalItem], decoding: Decoding, what: str
    ) -> dict[str, str]:
        """Return a version's answers by item digest; `what` is told as progress.

        Raises what `Predictor.predict` raises; what arrived before is stored.
        """
        self._ctx.check()
        keys = self._keys(version, items, decoding)
        with self._ctx.tools.db.read() as session:
            found = measuring.answers_under(session, keys.values())
        missing = [item for item in items if item.digest not in found]
        self._tally.begin(f"@{version.number} on {what}", len(items) - len(missing))
        if missing:
            found |= self._ask(version, missing, decoding, keys)
        self._tally.end(len(items))
        return found

    def _keys(
        self, version: VersionRow, items: Sequence[EvalItem], decoding: Decoding
    ) -> dict[str, str]:
        engine, servable = self._answering.engine_version(version), version.servable_digest
        return {it.digest: prediction_key(servable, it, decoding, engine) for it in items}

    def _ask(
        self,
        version: VersionRow,
        missing: Sequence[EvalItem],
        decoding: Decoding,
        keys: Mapping[str, str],
    ) -> dict[str, str]:
        keeper = _Keeper(self._ctx, version.servable_digest, keys)
        try:
            with self._answering.predictor(version, decoding) as predictor:
                found = predict_all(predictor, missing, self._tally.on_progress, keeper.keep)
        finally:
            keeper.flush()  # what arrived before an interruption is not asked again
        return {prediction.item_digest: prediction.text for prediction in found}


@dataclass
class _Keeper:
    """Stores answers in batches as they arrive."""

    ctx: Context
    servable_digest: str
    keys: Mapping[str, str]
    waiting: list[tuple[str, str, str]] = field(default_factory=list)
    flushed_at: float = field(default_factory=time.monotonic)

    def keep(self, prediction: Prediction) -> None:
        digest = prediction.item_digest
        self.waiting.append((self.keys[digest], digest, prediction.text))
        late = time.monotonic() - self.flushed_at > _FLUSH_SECONDS
        if late or len(self.waiting) >= _FLUSH_ANSWERS:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        self.ctx.tools.db.commit(
            lambda session: measuring.store_answers(session, self.servable_digest, self.waiting)
        )
        self.waiting, self.flushed_at = [], time.monotonic()


@dataclass
class _Tally:
    """Progress over all answers of the phase."""

    ctx: Context
    total: int
    done: int = 0
    known: int = 0
    what: str = ""

    def begin(self, what: str, known: int) -> None:
        self.what, self.known = what, known

    def on_progress(self, done: int, total: int) -> None:
        self.ctx.check(max_age_seconds=0.1)
        self.ctx.progress(self.done + self.known + done, self.total, "answers", self.what)

    def end(self, number: int) -> None:
        self.done += number
        self.ctx.progress(self.done, self.total, "answers", self.what)
