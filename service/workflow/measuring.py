"""Which cells of the matrix a job needs, the items behind them, and the answers stored so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from adapters_store.backends import LocalBlobStore
from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.samples import read_samples
from eval.decoding import Decoding, prediction_key
from eval.items import EvalItem, in_drawing_order, items_from_samples
from eval.predictors import distinct_items
from eval.scorers import scorer_name
from eval.scoring import TaskScores
from service.db.tables import CellRow, PredictionRow, ScoreRow, TaskRow, VersionRow
from service.ids import now

ITEM_SEED = 0
"""Of the choice of items: one for all, so that every version is asked the same questions."""
_LONG_ANSWERS = (AnswerFormat.DETAILED_EXPLANATION, AnswerFormat.CAPTION)
_KEYS_PER_QUERY = 500


@dataclass(frozen=True)
class Measurement:
    """One cell to fill: a version's answers to a task's items, the first ones drawn."""

    version: VersionRow
    task: TaskRow
    items: tuple[EvalItem, ...]
    decoding: Decoding


def items_of(blobs: LocalBlobStore, task: TaskRow) -> list[EvalItem]:
    """Return a task's distinct evaluation items in the order in which they are drawn."""
    assert task.eval_digest is not None
    return items_in(blobs.path(task.eval_digest), TaskCard.model_validate(task.card))


def items_in(split: Path, card: TaskCard) -> list[EvalItem]:
    """Return the distinct items of an evaluation split in the order in which they are drawn."""
    items = items_from_samples(read_samples(split), card)
    return list(distinct_items(in_drawing_order(items, ITEM_SEED)).values())


def decoding_of(task: TaskRow) -> Decoding:
    """Return how a task's answers are decoded: greedily, longer where answers are long."""
    is_long = task.card["answer_format"] in _LONG_ANSWERS
    return Decoding(max_tokens=128 if is_long else 64, extra={"repetition_penalty": 1.0})


def plan_measurements(
    session: Session,
    blobs: LocalBlobStore,
    chain: Sequence[VersionRow],
    limit: int,
    future_tasks: bool,
) -> list[Measurement]:
    """Return what is missing for the last version of a lineage, base first, to be judged.

    Its own row is measured, and every cell on or below the diagonal that is not there, with the
    zero-shot row; the parent also on the task it had not learned, for forward transfer. With
    `future_tasks` every version is asked every task, also those learned after it. The parent's row
    is always among them: answers at hand cost nothing, and it is asked where it was asked fewer
    items than `limit` now says, or by another build of the engine.
    """
    tasks = [session.get_one(TaskRow, v.task_id) for v in chain if v.task_id is not None]
    items = {task.id: tuple(items_of(blobs, task)) for task in tasks}
    compared = {version.id for version in chain[-2:] if version.number}
    wanted = []
    for stage, version in enumerate(chain):
        asks_all = future_tasks or version is chain[-2] or stage == 0
        for at, task in enumerate(tasks):
            known = session.get(CellRow, (version.id, task.id))
            least = limit if asks_all or at < stage else 0
            number = _number(known, task, least, version.id in compared)
            if number:
                some = items[task.id][:number]
                wanted.append(Measurement(version, task, some, decoding_of(task)))
    return wanted


def _number(known: CellRow | None, task: TaskRow, least: int, compared: bool) -> int:
    """Return how many items a cell is to be measured on: 0 for one that is there, or not wanted.

    A cell by another version of the scorer is made anew, from the answers where these are kept.
    """
    if known is not None and known.scorer != scorer_name(task.card["metric"], "fixed"):
        return max(known.n, least if compared else 0)
    return least if known is None or compared else 0


def accuracies(session: Session, version: VersionRow) -> dict[str, float]:
    """Return what a version scores, in points, by task."""
    query = (
        select(TaskRow.name, CellRow.accuracy)
        .join(TaskRow, CellRow.task_id == TaskRow.id)
        .where(CellRow.version_id == version.id)
    )
    return {name: accuracy for name, accuracy in session.execute(query)}


def answer_keys(
    version: VersionRow, items: Iterable[EvalItem], decoding: Decoding, engine: str
) -> dict[str, str]:
    """Return the keys of a version's answers by item digest."""
    servable = version.servable_digest
    return {it.digest: prediction_key(servable, it, decoding, engine) for it in items}


def answers_under(session: Session, keys: Mapping[str, str]) -> dict[str, str]:
    """Return the stored answers by item digest, of keys by item digest."""
    found: dict[str, str] = {}
    for some in _pieces(keys.values()):
        query = select(PredictionRow.key, PredictionRow.text).where(PredictionRow.key.in_(some))
        found |= {key: text for key, text in session.execute(query)}
    return {digest: found[key] for digest, key in keys.items() if key in found}


def store_answers(
    session: Session, servable_digest: str, answers: Sequence[tuple[str, str, str]]
) -> None:
    """Store (key, item digest, text) triples; of a key that is there the first text stays."""
    wanted = {key: (item_digest, text) for key, item_digest, text in answers}
    for some in _pieces(wanted):
        query = select(PredictionRow.key).where(PredictionRow.key.in_(some))
        for key in set(some) - set(session.scalars(query)):
            row = PredictionRow(key=key, servable_digest=servable_digest, created_at=now())
            row.item_digest, row.text = wanted[key]
            session.add(row)


def store_cell(
    session: Session,
    measurement: Measurement,
    scored: TaskScores,
    keys: Mapping[str, str],
    engine: str,
) -> None:
    """Store a cell with the scores behind it; one over more items stays, if it is comparable.

    `keys` are those of the answers, by item digest; `engine` is the build that gave them.
    """
    _store_scores(session, scored, keys)
    known = session.get(CellRow, (measurement.version.id, measurement.task.id))
    alike = known is not None and (known.scorer, known.engine) == (scored.scorer, engine)
    if known is not None and alike and known.n > scored.n:
        return
    session.merge(
        CellRow(
            version_id=measurement.version.id,
            task_id=measurement.task.id,
            accuracy=scored.accuracy,
            n=scored.n,
            metric=scored.metric,
            scorer=scored.scorer,
            engine=engine,
            created_at=now(),
        )
    )


def _store_scores(session: Session, scored: TaskScores, keys: Mapping[str, str]) -> None:
    wanted = {keys[digest]: score for digest, score in scored.scores.items()}
    for some in _pieces(wanted):
        query = select(ScoreRow.prediction_key).where(
            ScoreRow.prediction_key.in_(some), ScoreRow.scorer == scored.scorer
        )
        known = set(session.scalars(query))
        session.add_all(
            ScoreRow(prediction_key=key, scorer=scored.scorer, score=wanted[key])
            for key in some
            if key not in known
        )


def _pieces(keys: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield keys in pieces that one query can name."""
    source = iter(keys)
    while some := tuple(islice(source, _KEYS_PER_QUERY)):
        yield some
