"""The changes of a task: every rewritten turn before and after, as JSON lines in the blob store.

A file may hold a million of them, so it is read as a stream, and looked at through the places of
its lines.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO

from pydantic import BaseModel, ConfigDict

from asd_rewriter.formats import AnswerFormat
from asd_rewriter.mix import RewrittenSample
from asd_rewriter.samples import Sample, Turn, turn_key


class Change(BaseModel):
    """A turn before and after. `key` names it; `turn` is its place in its sample, from 0.

    `format` is the new format. It comes first in a line, which is then told by its beginning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: AnswerFormat
    key: str
    sample: str
    turn: int
    images: tuple[str, ...] = ()
    before: Turn
    after: Turn


def changes_of(item: RewrittenSample[Sample]) -> Iterator[Change]:
    """Yield what is different in a rewritten sample."""
    sample = item.before
    for turn, before, after in item.changed():
        yield Change(
            format=after.format, key=turn_key(sample.id, turn), sample=sample.id, turn=turn,
            images=sample.images, before=before, after=after,
        )  # fmt: skip


def write_changes(file: IO[str], items: Iterable[RewrittenSample[Sample]]) -> Iterator[Sample]:
    """Pass rewritten samples on, and write what is different in them to `file` meanwhile."""
    for item in items:
        for change in changes_of(item):
            file.write(change.model_dump_json() + "\n")
        yield item.sample


def with_native(samples: Iterable[Sample], native: dict[str, Turn]) -> Iterator[Sample]:
    """Yield samples in which the turns named in `native` are as given there."""
    for sample in samples:
        turns = tuple(
            native.get(turn_key(sample.id, index), turn) for index, turn in enumerate(sample.turns)
        )
        yield sample if turns == sample.turns else sample.model_copy(update={"turns": turns})


@dataclass(frozen=True)
class ChangeFile:
    """A file of changes."""

    path: Path

    def __iter__(self) -> Iterator[Change]:
        """Yield the changes, in the order of the samples."""
        with self.path.open("rb") as file:
            for line in file:
                yield Change.model_validate_json(line)

    def shuffled(self, only: AnswerFormat | None, seed: int) -> Sequence[int]:
        """Return the places of all changes (into one format), in an order drawn by `seed`."""
        beginning = b"{" if only is None else f'{{"format":"{only.value}",'.encode()
        places, place = array("Q"), 0
        with self.path.open("rb") as file:
            for line in file:
                if line.startswith(beginning):
                    places.append(place)
                place += len(line)
        Random(f"{seed}:changes").shuffle(places)
        return places

    def at(self, places: Iterable[int]) -> list[Change]:
        """Return the changes at these places."""
        found = []
        with self.path.open("rb") as file:
            for place in places:
                file.seek(place)
                found.append(Change.model_validate_json(file.readline()))
        return found

    def find(self, keys: Collection[str]) -> dict[str, Change]:
        """Return the changes with these keys; a key that none has is not in it."""
        wanted = set(keys)
        return {change.key: change for change in self if change.key in wanted} if wanted else {}
