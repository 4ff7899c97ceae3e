"""The command line: validate, then rewrite, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asd_rewriter.__main__ import main
from tests.asd_rewriter.conftest import MakeArchive, card, png, row


def test_validate_then_rewrite(
    pack: MakeArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(str(n), f"What is {n}?", f"n{n}", "a.png") for n in range(50)]
    archive = str(pack({"train.json": rows, "a.png": png()}))
    told, out, corpus = tmp_path / "card.json", tmp_path / "out", tmp_path / "corpus.jsonl"
    told.write_text(card().model_dump_json())

    assert main(["validate", archive, str(told), str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["eval"] == 5
    assert main(["rewrite", str(out / "train.jsonl"), str(told), str(corpus), "--x", "40"]) == 0
    assert json.loads(capsys.readouterr().out)["converted"] == 18
    assert len(corpus.read_text().splitlines()) == 45


def test_refusals_are_reported(
    pack: MakeArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "card.json"
    told.write_text(card().model_dump_json())
    archive = str(pack({"train.json": [row("1", "What?", "x", "none.png")]}))
    assert main(["validate", archive, str(told), str(tmp_path / "out")]) == 1
    assert json.loads(capsys.readouterr().out)["problems_by_rule"] == {"image_missing": 1}
    assert main(["validate", str(told), str(told), str(tmp_path / "out")]) == 1
    assert json.loads(capsys.readouterr().out)["code"] == "not_an_archive"
