"""Rows to batches: a corpus read once, encoded on demand and remembered, in a seeded order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset, Sampler

from asd_rewriter.samples import Sample, read_samples
from trainer.errors import InputError, TrainerError
from trainer.rows import IGNORED, Row, RowEncoder
from trainer.spec import Hyperparameters

Batch = dict[str, Tensor]
CACHE_BYTES = 256 * 2**20
"""Encoded rows kept in memory; beyond that, rows are encoded again in every epoch."""


def load_samples(path: Path) -> list[Sample]:
    """Return the samples of a JSON-lines file.

    Raises InputError when it is missing, empty, or has a line that is no sample.
    """
    try:
        samples = list(read_samples(path))
    except (OSError, ValidationError) as error:
        raise InputError(f"Cannot read the samples in {path.name}: {error}") from error
    if not samples:
        raise InputError(f"{path.name} holds no samples: there is nothing to train on.")
    return samples


def refuse_uneven_gathers(samples: Sequence[Sample], hyperparameters: Hyperparameters) -> None:
    """Raise InputError for rows with and without images at ZeRO-3 on several ranks.

    A rank whose batch has no image skips the vision tower, and with it collectives that the
    other ranks wait for.
    """
    sharded = hyperparameters.zero_stage == 3 and hyperparameters.ranks > 1
    if sharded and len({bool(sample.images) for sample in samples}) == 2:
        raise InputError(
            f"zero_stage 3 with {hyperparameters.ranks} ranks cannot mix rows with and without "
            "images: use zero_stage 2, or one rank."
        )


class Corpus(Dataset[Row]):
    """The training rows; images that several rows share are held once.

    `seen_and_cut` (2, N) says which rows have been encoded and which of them the length limit cut;
    data workers write into the same memory.
    """

    def __init__(self, samples: Sequence[Sample], encoder: RowEncoder) -> None:
        """Encode `samples` with `encoder`, each when it is first asked for."""
        self._samples = samples
        self._encoder = encoder
        self._rows: dict[int, Row] = {}
        self._extras: dict[tuple[str, ...], dict[str, Tensor]] = {}
        self._bytes_left = CACHE_BYTES
        flags: Any = torch.zeros((2, len(samples)), dtype=torch.bool)
        self.seen_and_cut: Tensor = flags.share_memory_()

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Row:
        if (known := self._rows.get(index)) is not None:
            return known
        images = self._samples[index].images
        row = self._encoder.encode(self._samples[index])
        self.seen_and_cut[:, index] = torch.tensor([True, row.cut])
        shared = self._extras.get(images)
        if shared is not None and _same_shapes(shared, row.extras):
            row = replace(row, extras=shared)
        cost = 0 if row.extras is shared else sum(value.nbytes for value in row.extras.values())
        cost += row.input_ids.nbytes + row.labels.nbytes
        if cost <= self._bytes_left:
            self._bytes_left -= cost
            self._rows[index] = row
            if images:
                self._extras[images] = row.extras
        return row


class SeededOrder(Sampler[int]):
    """A permutation of all rows per epoch, a function of seed and epoch alone.

    So a resumed run sees the rows that an uninterrupted one would have seen. Whoever drives
    the epochs sets `epoch` before each.
    """

    def __init__(self, num_rows: int, seed: int) -> None:
        """Order `num_rows` rows."""
        self.epoch = 0
        self._num_rows = num_rows
        self._seed = seed

    def __len__(self) -> int:
        return self._num_rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        yield from torch.randperm(self._num_rows, generator=generator).tolist()


class Collator:
    """Rows to one right-padded batch: `input_ids`, `attention_mask`, `labels` are (B, T)."""

    def __init__(self, pad_token_id: int) -> None:
        """Pad with `pad_token_id`."""
        self._pad_token_id = pad_token_id

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """Return the rows as one batch."""
        length = max(len(row.input_ids) for row in rows)
        ids = torch.full((len(rows), length), self._pad_token_id)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        labels = torch.full((len(rows), length), IGNORED)
        for index, row in enumerate(rows):
            size = len(row.input_ids)
            ids[index, :size] = row.input_ids
            mask[index, :size] = 1
            labels[index, :size] = row.labels
        return {"input_ids": ids, "attention_mask": mask, "labels": labels, **merge_extras(rows)}


def unwrapped(error: TrainerError) -> TrainerError:
    """Return a row's error as it was raised: torch's data workers put a traceback before it."""
    name = f"{type(error).__module__}.{type(error).__qualname__}: "
    _, wrapped, message = str(error).rpartition(name)
    return type(error)(message.strip()) if wrapped else error


def merge_extras(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Return the rows' other tensors, joined along their first dimension.

    Other dimensions (images a row, height, width) are filled up with zeros, as processors do
    themselves. Models with a `pixel_attention_mask` (Idefics, SmolVLM) want one entry a row:
    a row without images gets an all-zero one, which they drop.
    """
    names = dict.fromkeys(name for row in rows for name in row.extras)
    one_per_row = "pixel_attention_mask" in names
    merged = {}
    for name in names:
        like = next(row.extras[name] for row in rows if name in row.extras)
        empty = torch.zeros((1, *like.shape[1:]), dtype=like.dtype)
        parts = [row.extras.get(name, empty if one_per_row else None) for row in rows]
        merged[name] = _padded_cat([part for part in parts if part is not None])
    return merged


def _padded_cat(parts: Sequence[Tensor]) -> Tensor:
    sizes = [max(part.shape[axis] for part in parts) for axis in range(1, parts[0].dim())]
    padded = []
    for part in parts:
        missing = [want - have for want, have in zip(sizes, part.shape[1:], strict=True)]
        pads = [amount for gap in reversed(missing) for amount in (0, gap)]
        padded.append(functional.pad(part, pads) if any(pads) else part)
    return torch.cat(padded)


def _same_shapes(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return {key: value.shape for key, value in left.items()} == {
        key: value.shape for key, value in right.items()
    }
