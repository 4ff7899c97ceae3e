"""`python -m eval.minicoin`: what it refuses, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.minicoin.__main__ import main


@pytest.mark.parametrize("option", ["--num-train", "--num-eval"])
@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_split_needs_a_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, number: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path), option, number])
    assert ended.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_task_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--task", "classes", "--out", str(tmp_path), "--num-train", "2", "--num-eval", "1"]
    main(arguments)
    assert capsys.readouterr().out == f"{tmp_path / 'classes'}\n"
    assert len(json.loads((tmp_path / "classes" / "train.json").read_text())) == 2
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "File exists; name another --out" in capsys.readouterr().err
