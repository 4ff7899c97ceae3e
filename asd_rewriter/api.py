"""Rewriting a dataset on disk into a folder: the stand-alone use, as one call."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from asd_rewriter.cards import TaskCard
from asd_rewriter.detection import Detection, Detector
from asd_rewriter.errors import OutputRefused
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.limits import RowLimits
from asd_rewriter.mix import RewriteStream, RewrittenSample
from asd_rewriter.output import check_outside, staged
from asd_rewriter.plan import RewritePlan
from asd_rewriter.readers import RawRow
from asd_rewriter.report import RewriteReport
from asd_rewriter.rewriter import Rewriter
from asd_rewriter.samples import turn_key
from asd_rewriter.sources.bad_rows import BadSpot
from asd_rewriter.sources.base import Kind, Source
from asd_rewriter.sources.card_check import contradiction
from asd_rewriter.sources.errors import InputRefused
from asd_rewriter.sources.opening import open_source
from asd_rewriter.sources.samples import SourceSample, SourceSamples, detect, rewritten_row
from asd_rewriter.sources.writers import Writer, encoded, open_writer

__all__ = ["DatasetReport", "detect_card", "rewrite_dataset"]

Tell = Callable[[str, int, int | None], None]
"""Takes the stage (detect, read, write), how many are done, and of how many (None: unknown)."""
_OBJECTS_PER_COLLECTION = 20_000


class DatasetReport(RewriteReport):
    """The report on a dataset: on its turns, and on its rows.

    `rows` counts all of them, `bad_rows` those left as they are by reason, `bad_spots` names the
    first 20. `notes` say what is odd about the card. `kind` is how the result is kept. `detection`
    is there when no card was given.
    """

    rows: int
    bad_rows: dict[str, int]
    bad_spots: list[BadSpot]
    notes: list[str]
    kind: Kind
    card: TaskCard
    plan: RewritePlan
    detection: Detection | None = None


def rewrite_dataset(
    source: str | Path,
    out: str | Path,
    card: TaskCard | Mapping[str, Any] | None = None,
    x_percent: float = 20.0,
    *,
    formats: Mapping[AnswerFormat, float] | None = None,
    unit: str = "turn",
    rewriter: Callable[[TaskCard], Rewriter] | None = None,
    seed: int = 0,
    kind: Kind | str | None = None,
    strict: bool = False,
    on_progress: Tell | None = None,
) -> DatasetReport:
    """Rewrite X % (0..100) of a dataset's turns into other answer formats, into a new folder.

    `source` is a LLaVA JSON or JSONL file, a CoIN task folder or a Hugging Face `datasets` folder;
    `kind` (default: as the source) chooses what `out` gets: `train.json`, `train.jsonl`, `train/`.
    `report.json`, `changes.jsonl` (each rewritten turn before and after) and `card.json` lie beside
    it. Without a card one is made from the rows (`detect_card`). `formats` are the target formats'
    shares, `unit` is "turn" or "sample" (`RewritePlan`); `rewriter` makes another rewriter than
    rules. Bad rows are written through unchanged and counted; `strict` refuses them, and a card
    that contradicts the rows.

    Raises InputRefused, OutputRefused, and ValidationError for a wrong plan or card. Whatever is
    raised (also by `on_progress`, to cancel), `out` is not there afterwards.
    """
    shares = {} if formats is None else {"formats": dict(formats)}
    plan = RewritePlan.model_validate(
        {"x_percent": x_percent, "unit": unit, "seed": seed, **shares}
    )
    tell = on_progress or (lambda stage, done, total: None)
    card = None if card is None else TaskCard.model_validate(card)
    rows = open_source(Path(source))
    kept = rows.kind if kind is None else _kind(kind)
    check_outside(Path(out), Path(source))
    with _few_collections(), staged(Path(out)) as folder:
        detection = None
        if card is None:
            detection = detect_card(rows, tell)
            card = detection.card
        samples = SourceSamples(rows, card, strict)
        stream = RewriteStream(samples, card, plan, rewriter and rewriter(card), tell)
        _write(stream, samples, folder, kept)
        report = DatasetReport(
            **dict(stream.report),
            rows=samples.rows,
            bad_rows=dict(sorted(samples.bad.by_reason.items())),
            bad_spots=samples.bad.spots,
            notes=[odd] if (odd := contradiction(card, samples.native)) else [],
            kind=kept,
            card=card,
            plan=plan,
            detection=detection,
        )
        for name, model in (("card", card), ("report", report)):
            (folder / f"{name}.json").write_text(model.model_dump_json(indent=1) + "\n", "utf-8")
    return report


def detect_card(source: Source, tell: Tell) -> Detection:
    """Return a card for a dataset, with the evidence. Raises InputRefused without a good row."""
    detector = Detector()
    for number in detect(source, detector, RowLimits()):
        tell("detect", number, None)
    try:
        return detector.detection(source.name)
    except ValueError as error:
        places = ", ".join(map(str, source.paths[:3]))
        raise InputRefused(
            f"no good row was found in {places}, so no format can be told: {_first_problem(source)}"
        ) from error


def _kind(name: str) -> Kind:
    if name not in list(Kind):
        raise OutputRefused(f"{name!r} is no way to keep rows. Choose {', '.join(Kind)}.")
    return Kind(name)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for reference cycles less often: rows form none, and looking takes much of the time."""
    often = gc.get_threshold()
    gc.set_threshold(_OBJECTS_PER_COLLECTION, *often[1:])
    try:
        yield
    finally:
        gc.set_threshold(*often)


def _first_problem(source: Source) -> str:
    card = TaskCard(name="any", answer_format=AnswerFormat.CAPTION, metric="exact_match")
    samples = SourceSamples(source, card)
    for _ in samples:
        pass
    if not samples.bad.spots:
        return "the dataset has no rows. Give it some."
    first = samples.bad.spots[0]
    return f"row {first.row}: {first.message}. Rows look like LLaVA's (docs/asd.md)."


def _write(
    stream: RewriteStream[SourceSample], samples: SourceSamples, folder: Path, kind: Kind
) -> None:
    rest = _Rest(samples.source)
    with (
        (folder / "changes.jsonl").open("w", encoding="utf-8", newline="\n") as changes,
        open_writer(folder, kind, samples.source) as writer,
    ):
        number = 0
        for done in stream:
            row = done.before.row.spot.row
            if row > number + 1:
                rest.write(writer, number, row)
            number = row
            writer.write(rewritten_row(done, samples.card))
            if done.new:
                _write_changes(changes, done)
        if samples.rows > number:
            rest.write(writer, number, samples.rows + 1)


@dataclass
class _Rest:
    """The rows between good ones; the source is read once more for them, if there are any."""

    source: Source
    _rows: Iterator[RawRow] | None = None

    def write(self, writer: Writer, one: int, two: int) -> None:
        """Write the rows between two row numbers, at least one."""
        self._rows = self._rows or self.source.rows()
        for row in self._rows:
            if row.spot.row > one:
                writer.write(row)
            if row.spot.row == two - 1:
                return


def _write_changes(changes: TextIO, done: RewrittenSample[SourceSample]) -> None:
    for index, before, after in done.changed():
        changes.write(encoded({
            "key": turn_key(done.before.id, index), "row": done.before.row.spot.row,
            "before": before.model_dump(mode="json"), "after": after.model_dump(mode="json"),
        }) + "\n")  # fmt: skip
