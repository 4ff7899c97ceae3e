"""MoELoRA's layer against the formula, expert by expert, and what cannot be continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from trainer.errors import DeltaError
from trainer.experts import ExpertLinear, ExpertShape, expert_layers
from trainer.methods.base import Method, MethodState, build_method
from trainer.methods.configs import MoELoRAConfig
from trainer.modeling import load_base
from trainer.spec import BaseModelSpec

SMALL = {"rank": 6, "alpha": 9.0, "experts": 3}


def _dense(layer: ExpertLinear, x: Tensor) -> Tensor:
    """The published forward, one expert after the other."""
    a, b = layer.lora_A.weight, layer.lora_B.weight
    gate = torch.softmax(x @ layer.router.weight.T, dim=-1)
    own = layer.shape.rank // layer.shape.experts
    update = torch.zeros(*x.shape[:-1], b.shape[0], dtype=x.dtype)
    for index in range(layer.shape.experts):
        part = slice(index * own, (index + 1) * own)
        update = update + gate[..., index, None] * (x @ a[part].T @ b[:, part].T)
    whole: Tensor = x @ layer.linear.weight.T + layer.shape.alpha / layer.shape.rank * update
    return whole


def test_output_and_gradients_equal_the_formula() -> None:
    torch.manual_seed(0)
    layer = ExpertLinear(nn.Linear(7, 5, bias=False), ExpertShape(6, 9.0, 3)).double()
    nn.init.normal_(layer.lora_A.weight)
    nn.init.normal_(layer.lora_B.weight)
    x, weights = torch.randn(2, 4, 7).double(), list(layer.factors().values())

    ours, theirs = layer(x), _dense(layer, x)

    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    for got, wanted in zip(
        torch.autograd.grad(ours.square().sum(), weights),
        torch.autograd.grad(theirs.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)
        assert wanted.abs().max() > 0


def test_a_fresh_layer_is_the_layer_it_wraps() -> None:
    linear = nn.Linear(7, 5)
    layer = ExpertLinear(linear, ExpertShape(6, 9.0, 3))
    x = torch.randn(3, 7)

    assert torch.equal(layer(x), linear(x))


def test_the_rank_is_shared_evenly() -> None:
    with pytest.raises(ValidationError, match="rank 16 must be a multiple of experts, which is 3"):
        MoELoRAConfig(rank=16, experts=3)


def _method(**changes: Any) -> Method:
    return build_method("moelora", {**SMALL, **changes})


def _first(base: BaseModelSpec, folder: Path) -> str:
    method = _method()
    model = method.prepare(load_base(base, dtype=torch.float32), MethodState())
    for _, layer in expert_layers(model):
        nn.init.normal_(layer.lora_B.weight, std=0.1)
    method.export(model, folder, base)
    return str(folder)


def test_the_parents_experts_go_on(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    parent = _first(tiny_base, tmp_path / "first")
    method = _method()

    below = method.inherit([parent])
    model = method.prepare(load_base(tiny_base, dtype=torch.float32, lineage=below), MethodState())

    stored = dict(expert_layers(load_base(tiny_base, dtype=torch.float32, lineage=[parent])))
    for name, layer in expert_layers(model):
        for key, weight in layer.factors().items():
            assert torch.equal(weight, stored[name].factors()[key])
            assert weight.requires_grad
        assert not layer.linear.weight.requires_grad
    assert len(stored) == 14


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"experts": 2}, "experts=3.*experts=2"),
        ({"rank": 9}, "rank=6.*rank=9"),
        ({"target_modules": ("q_proj",)}, "has experts in the parent only"),
    ],
)
def test_other_experts_than_the_parents_are_refused_by_both_sides(
    tiny_base: BaseModelSpec, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    parent = _first(tiny_base, tmp_path / "first")
    method, model = _method(**changes), load_base(tiny_base, dtype=torch.float32)

    def begin() -> None:
        method.inherit([parent])
        method.prepare(model, MethodState())

    with pytest.raises(DeltaError, match=what):
        begin()


def test_a_lineage_of_something_else_is_refused(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    parent = _first(tiny_base, tmp_path / "first")

    with pytest.raises(DeltaError, match="2 deltas"):
        _method().inherit([parent, parent])
