"""Evaluate: the servable is asked; answers are kept, so none is asked for twice."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from eval.items import EvalItem
from eval.predictors import Prediction, predict_all
from eval.scoring import score_task
from service.db.tables import VersionRow
from service.versions.operations import lineage
from service.workflow import measuring
from service.workflow.answering import Answering
from service.workflow.context import Context
from service.workflow.measuring import Measurement

_FLUSH_SECONDS = 1.0
_FLUSH_ANSWERS = 64


def run(ctx: Context) -> dict[str, Any]:
    """Fill the row of the new version, and what is missing above it; return its cells."""
    facts = ctx.facts()
    with ctx.tools.db.read() as session:
        version = session.get_one(VersionRow, facts.job.version_id)
        chain = lineage(session, version)
        limit = facts.plan.eval_limit
        wanted = measuring.plan_measurements(session, ctx.tools.blobs, chain, limit)
    ctx.progress(0, None, "answers", "the model is being made ready")
    tally = _Tally(ctx, sum(len(measurement.items) for measurement in wanted))
    cells: dict[str, float] = {}
    with Answering(ctx, facts) as answering:
        for measurement in wanted:
            accuracy = _measure(ctx, answering, measurement, tally)
            if measurement.version.id == version.id:
                cells[measurement.task.name] = accuracy
    return {"cells": cells, "answers": tally.total}


def _measure(ctx: Context, answering: Answering, wanted: Measurement, tally: _Tally) -> float:
    ctx.check()
    tools = ctx.tools
    keys = wanted.keys(answering.engine_version(wanted.version))
    with tools.db.read() as session:
        answers = measuring.answers_under(session, keys)
    missing = [item for item in keys.values() if item.digest not in answers]
    tally.begin(wanted, len(wanted.items) - len(missing))
    if missing:
        keeper = _Keeper(
            ctx, wanted.version.servable_digest, {it.digest: key for key, it in keys.items()}
        )
        answers |= _ask(answering, wanted, missing, keeper, tally)
    cell = score_task(wanted.items, answers)
    tools.db.commit(lambda session: measuring.store_cell(session, wanted, cell))
    tally.end(wanted)
    return cell.accuracy


def _ask(
    answering: Answering,
    wanted: Measurement,
    missing: list[EvalItem],
    keeper: _Keeper,
    tally: _Tally,
) -> dict[str, str]:
    try:
        with answering.predictor(wanted.version, wanted.decoding) as predictor:
            found = predict_all(predictor, missing, tally.on_progress, keeper.keep)
    finally:
        keeper.flush()  # what arrived before an interruption is not asked again
    return {prediction.item_digest: prediction.text for prediction in found}


@dataclass
class _Keeper:
    """Stores answers in batches as they arrive."""

    ctx: Context
    servable_digest: str
    keys: dict[str, str]
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
    """Progress over all cells of the phase."""

    ctx: Context
    total: int
    done: int = 0
    known: int = 0
    what: str = ""

    def begin(self, wanted: Measurement, known: int) -> None:
        self.known = known
        self.what = f"@{wanted.version.number} on {wanted.task.name}"

    def on_progress(self, done: int, total: int) -> None:
        self.ctx.check(max_age_seconds=0.1)
        self.ctx.progress(self.done + self.known + done, self.total, "answers", self.what)

    def end(self, wanted: Measurement) -> None:
        self.done += len(wanted.items)
        self.ctx.progress(self.done, self.total, "answers", self.what)
