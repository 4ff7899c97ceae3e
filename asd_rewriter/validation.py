"""Validating a task: every row and image is checked, all problems are reported together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from asd_rewriter.archive_base import Archive
from asd_rewriter.cards import TaskCard
from asd_rewriter.errors import InvalidRows
from asd_rewriter.image_library import ImageLibrary
from asd_rewriter.images import ImageChecker
from asd_rewriter.limits import RowLimits
from asd_rewriter.problems import ValidationReport
from asd_rewriter.splits import (
    EVAL_PART,
    KEPT_PART,
    PROGRESS_EVERY,
    TRAIN_PART,
    Progress,
    ProgressTeller,
    SplitChecker,
)

__all__ = ["Progress", "RowLimits", "ValidatedTask", "validate_task"]


@dataclass(frozen=True)
class ValidatedTask:
    """A valid task: two files of Sample lines, and the digests of the images they use."""

    train_path: Path
    eval_path: Path
    num_train: int
    num_eval: int
    images: frozenset[str]
    report: ValidationReport


def validate_task(
    archive: Archive,
    card: TaskCard,
    put_image: Callable[[bytes], str],
    out_dir: Path,
    *,
    limits: RowLimits | None = None,
    reserved_eval: Mapping[str, str] | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> ValidatedTask:
    """Check a task's rows and images; write `train.jsonl` and `eval.jsonl` into `out_dir`.

    `put_image` stores an image's bytes and returns their SHA-256; it is called once per distinct
    image, and only when every row is valid. `reserved_eval` maps fingerprints (`fingerprints.
    reserve`) of earlier tasks' evaluation rows to those tasks' names. Without an eval split, 10 %
    of the train rows, chosen by digest and `seed`, are held out. Raises InvalidRows with the
    report; whatever is raised (also by `on_progress`, to cancel), `out_dir` keeps nothing new.
    """
    limits = limits or RowLimits()
    teller = ProgressTeller(on_progress or (lambda _: None))
    out_dir.mkdir(parents=True, exist_ok=True)
    try:
        with ImageChecker(limits.image) as checker:
            library = ImageLibrary(archive, checker)
            task = SplitChecker(
                archive,
                card,
                limits,
                dict(reserved_eval or {}),
                out_dir,
                library,
                teller,
            )
            checker.before_image = task.tell
            counts = task.check(seed)
        report = task.problems.report(counts, task.warnings())
        if not report.valid:
            raise InvalidRows(_summary(card, report), report)
        _store_images(archive, library, put_image, teller)
        return _finish(out_dir, library, report)
    finally:
        for name in (TRAIN_PART, EVAL_PART, KEPT_PART):
            with contextlib.suppress(FileNotFoundError):
                (out_dir / name).unlink()


def _store_images(
    archive: Archive,
    library: ImageLibrary,
    put_image: Callable[[bytes], str],
    teller: ProgressTeller,
) -> None:
    total = len(library.members)
    for done, (digest, member) in enumerate(library.members.items(), 1):
        stored = put_image(archive.read(member))
        assert stored == digest, "put_image must return the SHA-256 of the bytes it is given"
        due = done % PROGRESS_EVERY == 0 or done == total
        teller.tell(Progress("store", done, total), at_once=due)


def _finish(out_dir: Path, library: ImageLibrary, report: ValidationReport) -> ValidatedTask:
    train_path, eval_path = out_dir / "train.jsonl", out_dir / "eval.jsonl"
    (out_dir / EVAL_PART).replace(eval_path)
    (out_dir / TRAIN_PART).replace(train_path)
    return ValidatedTask(
        train_path,
        eval_path,
        report.counts["train"],
        report.counts["eval"],
        frozenset(library.members),
        report,
    )


def _summary(card: TaskCard, report: ValidationReport) -> str:
    first = next(chain(report.problems))
    others = report.num_problems - 1
    more = f" There {'is' if others == 1 else 'are'} {others} more." if others else ""
    row = f" row {first.row} (line {first.line})" if first.row else ""
    named = f" {first.row_id!r}" if first.row_id else ""
    return (
        f"Task {card.name!r} has invalid rows: {first.split}{row}{named}: "
        f"{first.message}. {first.fix}{more}"
    )
