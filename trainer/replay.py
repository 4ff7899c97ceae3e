"""Replay: some rows of earlier tasks, kept within a byte budget and trained again.

An option of any method (`Hyperparameters.replay_bytes`, 0 is off). The rows lie beside the method
state, `replay/<number>.json` per task of the lineage, oldest first; images stay blobs, named by
digest. With t tasks each may fill a t-th of the budget: rows in a seeded order, each taken if it
still fits. A row's cost is its text as stored plus its images, each image once per task.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

from pydantic import ValidationError

from asd_rewriter.samples import Sample
from trainer.errors import InputError, StateError

FOLDER = "replay"
MAX_TEXT_BYTES = 8 * 2**20
"""Of one task's rows, whatever the budget: what stores accept as one JSON file is limited."""


def read_buffer(state_dir: Path) -> list[list[Sample]]:
    """Return the rows kept of each earlier task, oldest first; none without a buffer.

    Raises StateError when a file holds something else.
    """
    found = []
    for path in sorted((state_dir / FOLDER).glob("*.json")):
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["samples"]
            found.append([Sample.model_validate(row) for row in rows])
        except (OSError, ValueError, KeyError, ValidationError) as error:
            raise StateError(f"Cannot read the replay buffer's {path.name}: {error}") from error
    return found


def write_buffer(state_dir: Path, tasks: Sequence[Sequence[Sample]]) -> None:
    """Write the rows kept of each task, oldest first."""
    (state_dir / FOLDER).mkdir(parents=True, exist_ok=True)
    for number, samples in enumerate(tasks):
        rows = {"samples": [sample.model_dump(mode="json") for sample in samples]}
        text = json.dumps(rows, ensure_ascii=False, sort_keys=True)
        (state_dir / FOLDER / f"{number:04d}.json").write_text(text + "\n", encoding="utf-8")


def next_buffer(
    earlier: Sequence[Sequence[Sample]],
    samples: Sequence[Sample],
    *,
    budget_bytes: int,
    blob_dir: Path,
    seed: int,
) -> list[list[Sample]]:
    """Return the buffer after a task with `samples`: earlier tasks' rows thinned, its own added."""
    share = budget_bytes // (len(earlier) + 1)
    own = list(samples)
    Random(seed).shuffle(own)
    return [_that_fit(rows, share, blob_dir) for rows in (*earlier, own)]


def _that_fit(rows: Sequence[Sample], budget_bytes: int, blob_dir: Path) -> list[Sample]:
    kept, used, text_used, images = [], 0, 0, set[str]()
    for row in rows:
        text = len(row.model_dump_json().encode())
        fresh = set(row.images) - images
        cost = text + sum(_size(blob_dir, digest) for digest in fresh)
        if used + cost <= budget_bytes and text_used + text <= MAX_TEXT_BYTES:
            kept.append(row)
            images |= fresh
            used, text_used = used + cost, text_used + text
    return kept


def _size(blob_dir: Path, digest: str) -> int:
    try:
        return (blob_dir / digest[:2] / digest).stat().st_size
    except OSError as error:
        raise InputError(f"Cannot read image {digest}: {error}") from error
