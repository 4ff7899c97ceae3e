"""Checking a task's splits into part files: rows, leaks between them, and the hold-out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal

from asd_rewriter.archive_base import Archive
from asd_rewriter.cards import TaskCard
from asd_rewriter.errors import CorruptArchive
from asd_rewriter.fingerprints import fingerprints
from asd_rewriter.holdout import Holdout
from asd_rewriter.image_library import ImageLibrary
from asd_rewriter.limits import RowLimits
from asd_rewriter.problems import Problems, SplitName
from asd_rewriter.readers import Spot, UnreadableRow, read_rows
from asd_rewriter.rows import RowChecker
from asd_rewriter.samples import Sample

HOLDOUT_FRACTION = 0.1
PROGRESS_EVERY = 500
PROGRESS_SECONDS = 1.0
THIS_TASK = "this task"
TRAIN_PART, EVAL_PART, KEPT_PART = "train.part", "eval.part", "kept.part"


@dataclass(frozen=True)
class Progress:
    """How far validation is: rows checked (total unknown), then images stored."""

    phase: Literal["check", "store"]
    done: int
    total: int | None = None


@dataclass
class ProgressTeller:
    """Hands progress on: at once when told so, else once a second, since one row may take long."""

    on_progress: Callable[[Progress], None]
    _told_at: float = field(default_factory=monotonic)

    def tell(self, progress: Progress, *, at_once: bool) -> None:
        """Report progress if it is due; raises what `on_progress` raises, to cancel."""
        if at_once or monotonic() - self._told_at >= PROGRESS_SECONDS:
            self._told_at = monotonic()
            self.on_progress(progress)


@dataclass
class SplitChecker:
    """Checks both splits of a task; `problems` collects what is wrong with them."""

    archive: Archive
    card: TaskCard
    limits: RowLimits
    reserved: dict[str, str]
    out_dir: Path
    library: ImageLibrary
    teller: ProgressTeller

    def __post_init__(self) -> None:
        self.problems = Problems(self.limits.max_problems)
        self.checkers = {name: self._checker(name) for name in ("train", "eval")}
        self.rows = 0
        self.turns = 0

    def _checker(self, split: str) -> RowChecker:
        name: SplitName = "eval" if split == "eval" else "train"
        return RowChecker(self.card, self.limits, name, self.problems, self.library)

    def check(self, seed: int) -> dict[str, int]:
        """Check both splits into part files; return the report's counts."""
        num_eval = 0
        if self.card.splits.eval is not None:
            num_eval = self._write("eval", self.card.splits.eval, EVAL_PART, self._reserve)
        holdout = Holdout()
        num_train = self._write(
            "train",
            self.card.splits.train,
            TRAIN_PART,
            lambda sample: holdout.add(fingerprints(sample)),
        )
        if self.card.splits.eval is None and num_train:
            num_eval = self._hold_out(holdout.choose(HOLDOUT_FRACTION, seed))
            num_train -= num_eval
        return {
            "rows": self.rows,
            "train": num_train,
            "eval": num_eval,
            "turns": self.turns,
            "images": len(self.library.members),
            "images_bytes": self.library.num_bytes,
        }

    def warnings(self) -> list[str]:
        """Return what is worth knowing and does not make the task invalid."""
        found = []
        if ignored := self.archive.ignored:
            found.append(
                f"{len(ignored)} files of the archive were ignored (nested archives or system "
                f"files), such as {ignored[0]!r}."
            )
        odd = self.checkers["train"].odd_instructions + self.checkers["eval"].odd_instructions
        for name, count in sorted(odd.items()):
            found.append(
                f"{count} questions carried an instruction for {name} answers; the card's "
                f"format {self.card.answer_format.value} was used."
            )
        return found

    def _reserve(self, sample: Sample) -> None:
        for print_ in fingerprints(sample):
            self.reserved.setdefault(print_, THIS_TASK)

    def _write(self, split: SplitName, path: str, part: str, then: Callable[[Sample], None]) -> int:
        """Check a split file's rows, write the good ones to a part file, return their number."""
        count = 0
        before = self.rows
        with (self.out_dir / part).open("w", encoding="utf-8") as file:
            for spot, sample in self._samples(split, path):
                if split == "train" and self._leaks(spot, sample):
                    continue
                then(sample)
                file.write(sample.model_dump_json() + "\n")
                count += 1
                self.turns += len(sample.turns)
        if self.rows == before and self.archive.find(path) is not None:
            self._note(split, Spot(), "empty_split", f"{path!r} has no rows", "Add rows.")
        return count

    def _samples(self, split: SplitName, path: str) -> Iterator[tuple[Spot, Sample]]:
        member = self.archive.find(path)
        if member is None:
            self._note(
                split,
                Spot(),
                "missing_split",
                f"the archive has no file {path!r}",
                f"Add it, or correct the card's splits.{split}.",
            )
            return
        checker = self.checkers[split]
        try:
            with self.archive.open(member) as file:
                for row in read_rows(file, self.limits.max_row_chars):
                    self._count_row()
                    if isinstance(row, UnreadableRow):
                        self._note_unreadable(split, row)
                    elif (sample := checker.check(row)) is not None:
                        yield row.spot, sample
        except CorruptArchive as error:
            self._note(split, Spot(), "unreadable_split", error.message, "Pack the archive again.")

    def _count_row(self) -> None:
        self.rows += 1
        self.tell(at_once=self.rows % PROGRESS_EVERY == 0)

    def tell(self, *, at_once: bool = False) -> None:
        """Report progress if it is due; raises what `on_progress` raises, to cancel."""
        self.teller.tell(Progress("check", self.rows), at_once=at_once)

    def _note_unreadable(self, split: SplitName, row: UnreadableRow) -> None:
        rest = "; the rest of the file was not read" if row.fatal else ""
        self._note(
            split,
            row.spot,
            "not_json",
            row.message + rest,
            "Write the split as one JSON array of objects, or one object a line.",
        )

    def _note(self, split: SplitName, spot: Spot, rule: str, message: str, fix: str) -> None:
        self.checkers[split].note(spot, None, "", rule, message, fix)

    def _leaks(self, spot: Spot, sample: Sample) -> bool:
        for index, print_ in enumerate(fingerprints(sample)):
            owner = self.reserved.get(print_)
            if owner is None:
                continue
            named = owner if owner == THIS_TASK else f"task {owner!r}"
            self.checkers["train"].note(
                spot,
                sample.id,
                f"conversations[{2 * index}]",
                "leaks_eval",
                f"images, question and answer equal an evaluation row of {named}",
                "Remove the row from the train split.",
            )
            return True
        return False

    def _hold_out(self, chosen: set[int]) -> int:
        """Move the chosen lines of the train part to the eval part."""
        if not chosen and not self.problems.total:
            self._note(
                "train",
                Spot(),
                "cannot_hold_out",
                "fewer than two different rows: none can be held out for evaluation",
                "Add rows, or an eval split.",
            )
        source, kept = self.out_dir / TRAIN_PART, self.out_dir / KEPT_PART
        with (
            source.open(encoding="utf-8", newline="\n") as lines,
            kept.open("w", encoding="utf-8", newline="\n") as train,
            (self.out_dir / EVAL_PART).open("w", encoding="utf-8", newline="\n") as held,
        ):
            for index, line in enumerate(lines):
                (held if index in chosen else train).write(line)
        kept.replace(source)
        return len(chosen)
