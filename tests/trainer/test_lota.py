"""LoTA's extraction against brute force, and that no place is ever trained twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.deltas import SparseWeight, read_delta
from trainer.errors import ConfigError, StateError
from trainer.methods.base import Method, MethodState, build_method
from trainer.methods.lota import largest
from trainer.methods.protected import unpack
from trainer.modeling import find_targets, load_base
from trainer.spec import BaseModelSpec, Hyperparameters


@pytest.mark.parametrize("count", [0, 1, 7, 40, 74, 200])
def test_the_largest_of_all_matrices_are_found(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    values = {
        name: torch.rand(shape, generator=generator).pow(20)  # spread over many magnitudes
        for name, shape in {"a": (5, 8), "b": (7, 5)}.items()
    }
    values["a"][0, 0] = 0.0

    masks = largest(values, count)

    flat = torch.cat([it.flatten() for it in values.values()])
    chosen = torch.cat([it.flatten() for it in masks.values()])
    count = min(count, int((flat > 0).sum()))
    assert int(chosen.sum()) == count
    if count:
        assert flat[chosen].min() == flat.topk(count).values[-1]


def test_ties_are_taken_in_order_and_zeros_never() -> None:
    values = {"a": torch.tensor([[1.0, 2.0], [1.0, 0.0]]), "b": torch.tensor([[1.0, 0.0]])}

    assert torch.cat([it.flatten() for it in largest(values, 2).values()]).tolist() == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    assert sum(int(it.sum()) for it in largest(values, 6).values()) == 4


def _moved(method: Method, base: BaseModelSpec, state: MethodState, seed: int) -> Any:
    """Return the model after one gradient of noise everywhere, as a calibration leaves it."""
    model = method.prepare(load_base(base, dtype=torch.float32), state)
    method.mask_gradients(model)
    generator = torch.Generator().manual_seed(seed)
    loss = sum(
        (it * torch.randn(it.shape, generator=generator)).sum()
        for it in model.parameters()
        if it.requires_grad
    )
    assert isinstance(loss, Tensor)
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.grad is not None:
                weight -= 0.01 * weight.grad
    return model


def _task(base: BaseModelSpec, state: MethodState, seed: int, folder: Path) -> MethodState:
    method = build_method("lota", {"sparsity": 0.7})
    assert method.calibration(Hyperparameters()) is not None
    method.calibrated(_moved(method, base, state, seed))
    trained = _moved(method, base, state, seed + 100)
    method.export(trained, folder, base)
    return method.finish(trained)


def test_places_are_disjoint_over_tasks_and_only_they_move(
    tiny_base: BaseModelSpec, tmp_path: Path
) -> None:
    model = load_base(tiny_base, dtype=torch.float32)
    state, used = MethodState(), {name: 0 for name in find_targets(model, None)}
    total = sum(model.get_submodule(name).weight.numel() for name in used)
    for number in range(3):
        state = _task(tiny_base, state, number, tmp_path / str(number))
        share = 0
        for name, weight in (read_delta(tmp_path / str(number)).weights or {}).items():
            assert isinstance(weight, SparseWeight)
            module = name.removesuffix(".weight")
            here = torch.zeros_like(model.get_submodule(module).weight, dtype=torch.bool)
            here.view(-1)[weight.index.long()] = True
            whole = unpack(state.tensors[module], here.shape[1])
            assert int((whole & here).sum()) == int(here.sum())
            assert int(whole.sum()) == used[module] + int(here.sum())  # none used before
            used[module] += int(here.sum())
            share += int(here.sum())
        assert share == round(0.3 * total)
        assert state.facts["density"] == pytest.approx(0.3, abs=1e-4)

    fourth = _task(tiny_base, state, 4, tmp_path / "4")
    assert fourth.facts["density"] == pytest.approx(0.1, abs=1e-4)  # what is left
    with pytest.raises(StateError, match="earlier tasks use all"):
        _task(tiny_base, fourth, 5, tmp_path / "5")


def test_the_calibration_has_its_own_length_and_rate() -> None:
    config = {"calibration_epochs": 0.25, "calibration_learning_rate": 1e-5}
    own = build_method("lota", config).calibration(Hyperparameters(epochs=3.0, batch_size=2))

    assert own is not None
    assert (own.epochs, own.learning_rate, own.batch_size) == (0.25, 1e-5, 2)


def test_a_sparsity_that_leaves_no_place_is_refused(tiny_base: BaseModelSpec) -> None:
    entries = 2 * (4 * 64 * 64 + 3 * 64 * 96)  # of the tiny base's two layers
    method = build_method("lota", {"sparsity": 1 - 0.4 / entries})

    with pytest.raises(ConfigError, match=f"none of the {entries} entries"):
        method.prepare(load_base(tiny_base, dtype=torch.float32), MethodState())
