"""Hugging Face datasets folders, read and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asd_rewriter.api import rewrite_dataset
from asd_rewriter.errors import OutputRefused
from asd_rewriter.sources.base import Kind
from asd_rewriter.sources.errors import InputRefused
from asd_rewriter.sources.opening import open_source
from tests.asd_rewriter.conftest import card, png
from tests.asd_rewriter.sources.test_dataset import colours, read, write

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hub-cache"))
    datasets.disable_progress_bars()


def rows_of(folder: Path) -> list[Any]:
    return list(datasets.load_from_disk(str(folder / "train")).to_list())


@pytest.mark.parametrize("form", ["saved", "split", "parquet", "data"])
def test_a_folder_comes_back_as_a_folder(form: str, tmp_path: Path) -> None:
    made, folder = datasets.Dataset.from_list(colours(40)), tmp_path / "in"
    if form == "saved":
        made.save_to_disk(str(folder))
    elif form == "split":
        datasets.DatasetDict({"train": made}).save_to_disk(str(folder))
    else:
        where = folder / "data" if form == "data" else folder
        where.mkdir(parents=True)
        made.to_parquet(str(where / "train-0.parquet"))
    report = rewrite_dataset(folder, tmp_path / "out", card(), 25)
    written = rows_of(tmp_path / "out")
    assert (report.kind, report.rows, report.converted) == (Kind.HF, 40, 10)
    assert sum(one != two for one, two in zip(colours(40), written, strict=True)) == 10
    assert sorted(it.name for it in (tmp_path / "out").iterdir()) == [
        "card.json", "changes.jsonl", "report.json", "train",
    ]  # fmt: skip


def test_images_inside_are_kept_and_not_decoded(tmp_path: Path) -> None:
    rows = [it | {"image": {"bytes": png(n), "path": None}} for n, it in enumerate(colours(6))]
    rows[0]["image"]["bytes"] = b"not an image"
    features = datasets.Dataset.from_list(rows).features.copy()
    features["image"] = datasets.Image()
    made = datasets.Dataset.from_list(rows, features=features)
    made.save_to_disk(str(tmp_path / "in"))
    rewrite_dataset(tmp_path / "in", tmp_path / "out", card(), 50)
    back = datasets.load_from_disk(str(tmp_path / "out/train"))
    assert isinstance(back.features["image"], datasets.Image)
    bare = back.cast_column("image", datasets.Image(decode=False))
    assert [it["image"]["bytes"] for it in bare] == [it["image"]["bytes"] for it in rows]


def test_json_becomes_a_folder_and_back(tmp_path: Path) -> None:
    rows = colours(1200)
    del rows[0]["image"]
    rows[0]["conversations"][0]["value"] = rows[0]["conversations"][0]["value"][8:]
    rows[1100]["late"] = 3
    source = write(tmp_path / "rows.json", rows)
    rewrite_dataset(source, tmp_path / "hub", card(), 0, kind=Kind.HF)
    found = rows_of(tmp_path / "hub")
    assert (found[0]["image"], found[1]["image"], found[1100]["late"]) == (None, "1.jpg", 3)
    rewrite_dataset(tmp_path / "hub/train", tmp_path / "back", card(), 0, kind=Kind.JSON)
    plain = [{k: v for k, v in it.items() if v is not None} for it in read(tmp_path / "back")]
    assert plain == rows


def test_a_result_is_read_again(tmp_path: Path) -> None:
    rewrite_dataset(write(tmp_path / "a.json", colours(10)), tmp_path / "b", card(), kind=Kind.HF)
    report = rewrite_dataset(tmp_path / "b", tmp_path / "c", card(), 0)
    assert (report.kind, report.rows, report.bad_rows) == (Kind.HF, 10, {})
    assert rows_of(tmp_path / "c") == rows_of(tmp_path / "b")


def test_what_a_folder_cannot_hold_is_refused(tmp_path: Path) -> None:
    for name, odd, message in (("a", [3], "row 3 is a number"), ("b", [{"id": ["x"]}], "row 3")):
        source = write(tmp_path / f"{name}.jsonl", [*colours(2), *odd])
        with pytest.raises(OutputRefused, match=message):
            rewrite_dataset(source, tmp_path / name, card(), kind=Kind.HF)
        assert not (tmp_path / name).exists()


def test_other_splits_and_broken_folders_are_refused(tmp_path: Path) -> None:
    made = datasets.Dataset.from_list(colours(2))
    datasets.DatasetDict({"test": made}).save_to_disk(str(tmp_path / "in"))
    with pytest.raises(InputRefused, match="the splits test and no 'train'"):
        list(open_source(tmp_path / "in").rows())
    assert len(list(open_source(tmp_path / "in/test").rows())) == 2
    (tmp_path / "in/test/state.json").write_text(json.dumps({}))
    with pytest.raises(InputRefused, match="cannot read"):
        list(open_source(tmp_path / "in/test").rows())
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputRefused, match=r"cannot read .*x.parquet"):
        list(open_source(tmp_path / "x.parquet").rows())
