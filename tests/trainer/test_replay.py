"""The replay buffer: within its budget, fair to all tasks, read back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_rewriter.samples import Sample
from tests.trainer.tiny import colour_samples
from trainer.errors import InputError, StateError
from trainer.replay import next_buffer, read_buffer, write_buffer


def _cost(rows: list[Sample], blobs: Path) -> int:
    images = {digest for row in rows for digest in row.images}
    stored = sum((blobs / digest[:2] / digest).stat().st_size for digest in images)
    return stored + sum(len(row.model_dump_json().encode()) for row in rows)


def _buffer(blobs: Path, budget: int, tasks: int = 3) -> list[list[Sample]]:
    found: list[list[Sample]] = []
    for seed in range(tasks):
        rows = colour_samples(blobs, 12, seed=100 * seed)
        found = next_buffer(found, rows, budget_bytes=budget, blob_dir=blobs, seed=0)
    return found


@pytest.mark.parametrize("budget", [0, 2_000, 4_000, 10_000])
def test_the_budget_holds_and_every_task_has_its_share(tmp_path: Path, budget: int) -> None:
    buffer = _buffer(tmp_path, budget)

    assert len(buffer) == 3
    for rows in buffer:
        assert _cost(rows, tmp_path) <= budget // 3
        assert bool(rows) == (budget >= 2_000)


def test_an_older_task_is_thinned_not_chosen_anew(tmp_path: Path) -> None:
    one, three = _buffer(tmp_path, 6_000, tasks=1), _buffer(tmp_path, 6_000)

    assert {row.id for row in three[0]} < {row.id for row in one[0]}


def test_the_choice_is_seeded(tmp_path: Path) -> None:
    rows = colour_samples(tmp_path, 12)
    chosen = [
        next_buffer([], rows, budget_bytes=2_000, blob_dir=tmp_path, seed=seed)
        for seed in (0, 0, 1)
    ]

    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


def test_a_buffer_is_read_back_in_order(tmp_path: Path) -> None:
    buffer = _buffer(tmp_path / "blobs", 6_000)

    write_buffer(tmp_path / "state", buffer)

    assert read_buffer(tmp_path / "state") == buffer
    assert read_buffer(tmp_path / "nothing") == []


def test_bad_buffers_and_missing_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "replay").mkdir()
    (tmp_path / "replay" / "0000.json").write_text('{"samples": [{"id": 1}]}')
    with pytest.raises(StateError, match=r"0000\.json"):
        read_buffer(tmp_path)

    rows = colour_samples(tmp_path / "blobs", 2)
    with pytest.raises(InputError, match=rows[0].images[0][:8]):
        next_buffer([rows], [], budget_bytes=9_999, blob_dir=tmp_path / "nowhere", seed=0)
