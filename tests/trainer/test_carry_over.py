"""LoRA's two ways of going on: merged below a fresh adapter, or one adapter trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.catalog import declared
from trainer.errors import DeltaError
from trainer.methods.base import MethodState, build_method, lora_matrices
from trainer.modeling import load_base
from trainer.spec import BaseModelSpec

CONTINUE = {"rank": 4, "alpha": 8.0, "carry_over": "continue"}


def _first(base: BaseModelSpec, folder: Path) -> Path:
    method = build_method("lora", CONTINUE)
    model = method.prepare(load_base(base, dtype=torch.float32), MethodState())
    generator = torch.Generator().manual_seed(1)
    for matrix in lora_matrices(model):
        matrix.b.data = torch.randn(matrix.b.shape, generator=generator) * 0.1
    method.export(model, folder, base)
    return folder


def _second(base: BaseModelSpec, lineage: list[Path], **config: Any) -> Any:
    method = build_method("lora", {**CONTINUE, **config})
    below = method.inherit([str(folder) for folder in lineage])
    return method.prepare(load_base(base, dtype=torch.float32, lineage=below), MethodState())


def test_continue_begins_as_the_parent_ended_on_the_bare_base(
    tiny_base: BaseModelSpec, tmp_path: Path
) -> None:
    parent = _first(tiny_base, tmp_path / "first")
    stored = load_base(tiny_base, dtype=torch.float32, lineage=[str(parent)])
    bare = load_base(tiny_base, dtype=torch.float32)

    model = _second(tiny_base, [parent])

    for matrix in lora_matrices(model):
        layer = model.get_base_model().get_submodule(matrix.module)
        assert torch.equal(layer.base_layer.weight, bare.get_submodule(matrix.module).weight)
        whole = layer.base_layer.weight + matrix.scale * matrix.b @ matrix.a
        torch.testing.assert_close(whole, stored.get_submodule(matrix.module).weight)
        assert matrix.a.requires_grad


def test_the_delta_kind_follows_the_carry_over() -> None:
    assert declared("lora", {}).delta_kind == "add"
    assert declared("lora", CONTINUE).delta_kind == "replace"


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"rank": 8}, r"\(4, \d+\) in the parent, \(8, \d+\) in this task"),
        ({"alpha": 4.0}, "2.0 in the parent, 1.0 in this task"),
        ({"target_modules": ("q_proj",)}, "adapted in the parent only"),
    ],
)
def test_another_adapter_than_the_parents_is_refused_by_both_sides(
    tiny_base: BaseModelSpec, tmp_path: Path, config: dict[str, Any], what: str
) -> None:
    parent = _first(tiny_base, tmp_path / "first")

    with pytest.raises(DeltaError, match=what):
        _second(tiny_base, [parent], **config)


def test_two_adapters_cannot_be_continued(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    parents = [_first(tiny_base, tmp_path / name) for name in ("first", "second")]

    with pytest.raises(DeltaError, match="2 deltas below"):
        _second(tiny_base, parents)
