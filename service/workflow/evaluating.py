"""Asking versions: what is stored is not asked again, and what arrives is stored at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eval.decoding import Decoding
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
        self.engines: dict[str, str] = {}
        """The build that answered for each version asked, by its id."""

    def __enter__(self) -> Evaluation:
        return self

    def __exit__(self, *_error: object) -> None:
        self._answering.close()

    @property
    def needed(self) -> int:
        """How many answers were needed so far, each counted once."""
        return len(self._tally.counted)

    def expect(self, version: VersionRow, items: Sequence[EvalItem], decoding: Decoding) -> None:
        """Say that these answers are to come as well."""
        self._tally.total += self._tally.new(self._keys(version, items, decoding))

    def fill(self, wanted: Measurement) -> None:
        """Measure a cell and store it with the scores behind it."""
        answers = self.answers(wanted.version, wanted.items, wanted.decoding, wanted.task.name)
        keys = self._keys(wanted.version, wanted.items, wanted.decoding)
        scored = score_items(wanted.items, answers)  # may take long: not while the database is held
        engine = self.engines[wanted.version.id]
        self._ctx.tools.db.commit(
            lambda session: measuring.store_cell(session, wanted, scored, keys, engine)
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
            found = measuring.answers_under(session, keys)
        missing = [item for item in items if item.digest not in found]
        self._tally.begin(f"@{version.number} on {what}", self._tally.new(keys) - len(missing))
        if missing:
            found |= self._ask(version, missing, decoding, keys)
        self._tally.end(keys)
        return found

    def _keys(
        self, version: VersionRow, items: Sequence[EvalItem], decoding: Decoding
    ) -> dict[str, str]:
        engine = self.engines[version.id] = self._answering.engine_version(version)
        return measuring.answer_keys(version, items, decoding, engine)

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
    """Progress over all answers of the phase; one that is needed again counts once."""

    ctx: Context
    total: int
    counted: set[str] = field(default_factory=set)
    known: int = 0
    what: str = ""

    def new(self, keys: Mapping[str, str]) -> int:
        return len(set(keys.values()) - self.counted)

    def begin(self, what: str, known: int) -> None:
        self.what, self.known = what, known

    def on_progress(self, done: int, total: int) -> None:
        self.ctx.check(max_age_seconds=0.1)
        done += len(self.counted) + self.known
        self.ctx.progress(done, self.total, "answers", self.what)

    def end(self, keys: Mapping[str, str]) -> None:
        self.counted |= set(keys.values())
        self.ctx.progress(len(self.counted), self.total, "answers", self.what)
