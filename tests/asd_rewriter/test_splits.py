"""Progress of validation: told by number, and by the clock when rows or images take long."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_rewriter.archive import open_archive
from asd_rewriter.validation import Progress, validate_task
from tests.asd_rewriter.conftest import MakeArchive, card, digest_of, png, row


def told(pack: MakeArchive, out: Path) -> list[Progress]:
    rows = [row(str(n), f"What is {n}?", f"n{n}", f"{n}.png") for n in range(4)]
    images = {f"{n}.png": png(n) for n in range(4)}
    found: list[Progress] = []
    with open_archive(pack({"train.json": rows, **images})) as archive:
        validate_task(archive, card(), digest_of, out, on_progress=found.append)
    return found


def test_slow_rows_and_images_are_told_of(
    pack: MakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asd_rewriter.splits.PROGRESS_SECONDS", 0.0)
    found = told(pack, tmp_path / "out")
    by_row_and_image = [Progress("check", n) for n in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert found == [*by_row_and_image, *(Progress("store", n, 4) for n in (1, 2, 3, 4))]


def test_quick_rows_are_not_told_of_one_by_one(
    pack: MakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asd_rewriter.splits.PROGRESS_SECONDS", 1e9)
    assert told(pack, tmp_path / "out") == [Progress("store", 4, 4)]
