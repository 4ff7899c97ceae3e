"""Samples: the instruction rows that flow from intake to training and evaluation, as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from asd_rewriter.formats import AnswerFormat


class Turn(BaseModel):
    """One question with its answer. The question carries no format instruction.

    `references` holds all votes of people (metric vqa_soft), or further accepted answers; empty
    means `answer` alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str
    format: AnswerFormat
    references: tuple[str, ...] = ()


class Sample(BaseModel):
    """One row: 0..n images (SHA-256 hex digests of their bytes) and 1..n turns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    images: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = Field(min_length=1)


class AnySample(Protocol):
    """What rewriting needs of a sample: `turns` may be read when they are asked for."""

    @property
    def id(self) -> str:
        """The sample's id."""
        ...

    @property
    def images(self) -> tuple[str, ...]:
        """The images, by digest or as the row names them."""
        ...

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns, 1..n."""
        ...


def turn_key(sample_id: str, index: int) -> str:
    """Return the name of a turn: its sample's id and its place in it, from 0."""
    return f"{sample_id}#{index}"


def write_samples(path: Path, samples: Iterable[Sample]) -> int:
    """Write samples as JSON lines to `path`; return how many were written."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for sample in samples:
            file.write(sample.model_dump_json() + "\n")
            count += 1
    return count


@dataclass(frozen=True)
class SampleFile:
    """A JSON-lines file written by `write_samples`; its samples, in order, as often as wanted."""

    path: Path

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield Sample.model_validate_json(line)


def read_samples(path: Path) -> Iterator[Sample]:
    """Yield the samples of a JSON-lines file written by `write_samples`, in order."""
    return iter(SampleFile(path))
