"""The example of docs/methods/adding.md is a whole method: one module and one catalog line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from tests.trainer.tiny import save_tiny_base
from trainer.catalog import METHODS, MethodEntry, declared
from trainer.methods.base import MethodState, build_method, lora_matrices
from trainer.methods.configs import AdapterConfig
from trainer.modeling import load_base

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "adding.md"


def test_the_documented_example_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "ridge_example.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = MethodEntry(AdapterConfig, "ridge_example:Ridge", "add", "lora", "small LoRA")
    monkeypatch.setitem(METHODS, "ridge", entry)
    base = save_tiny_base(tmp_path / "base")
    method = build_method("ridge", {"rank": 3, "alpha": 6.0})
    model = method.prepare(load_base(base, dtype=torch.float32), MethodState())
    for matrix in lora_matrices(model):
        torch.nn.init.normal_(matrix.b)

    penalty = method.penalty(model)

    assert len(code.splitlines()) <= 32
    assert declared("ridge", {}).servable_by == "lora"
    norms = [(it.b @ it.a).square().sum() for it in lora_matrices(model)]
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.01 * torch.stack(norms).mean().item(), rel=1e-5)
    penalty.backward()
    assert all(matrix.b.grad is not None for matrix in lora_matrices(model))
    method.export(model, tmp_path / "delta", base)
    load_base(base, dtype=torch.float32, lineage=[str(tmp_path / "delta")])


def test_every_method_has_a_page() -> None:
    index = (PAGE.parent / "README.md").read_text(encoding="utf-8")
    for name, entry in METHODS.items():
        page = (PAGE.parent / f"{name}.md").read_text(encoding="utf-8")
        assert f"({name}.md)" in index
        for key in entry.config.model_fields:
            assert f"`{key}`" in page, f"{name}.md does not explain {key}"
