"""RegLoRA with its state: what is carried, what the penalty is, what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.trainer.dense_penalty import dense_mean, listed, listed_mean
from tests.trainer.tiny import save_tiny_base
from trainer.errors import ConfigError, StateError
from trainer.methods.base import MethodState, lora_matrices
from trainer.methods.configs import RegLoRAConfig
from trainer.methods.protected import Places, pack, top_places
from trainer.methods.reglora import RegLoRA, read_places
from trainer.modeling import load_base
from trainer.spec import BaseModelSpec

PUBLISHED_LAMBDA, PUBLISHED_DIVISOR = 2.5e3, 224


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModelSpec:
    return save_tiny_base(tmp_path_factory.mktemp("base"))


def _method(**changes: Any) -> RegLoRA:
    settings = {"rank": 4, "alpha": 8.0, **changes}
    if "preset" not in changes:
        settings = {"top_percent": 10.0, "coefficient": 3.0, **settings}
    return RegLoRA(RegLoRAConfig(**settings))


def _with_update(base: BaseModelSpec, method: RegLoRA, state: MethodState, seed: int) -> Any:
    """Return the prepared model with a random A and B."""
    model = method.prepare(load_base(base, dtype=torch.float32), state)
    generator = torch.Generator().manual_seed(seed)
    for matrix in lora_matrices(model):
        matrix.a.data = torch.randn(matrix.a.shape, generator=generator)
        matrix.b.data = torch.randn(matrix.b.shape, generator=generator)
    return model


def _after(
    base: BaseModelSpec, seeds: tuple[int, ...], **settings: Any
) -> tuple[MethodState, dict[str, Tensor]]:
    """Return the state after tasks of these seeds, and how often each place was chosen."""
    state, counts = MethodState(), {}
    for seed in seeds:
        method = _method(**settings)
        model = _with_update(base, method, state, seed)
        for matrix in lora_matrices(model):
            chosen = top_places(matrix.a, matrix.b, method.config.top_percent).long()
            counts[matrix.module] = counts.get(matrix.module, torch.zeros_like(chosen)) + chosen
        state = method.finish(model)
    return state, counts


def _linear_shapes(counts: dict[str, Tensor]) -> dict[str, tuple[int, int]]:
    return {name: (it.shape[0], it.shape[1]) for name, it in counts.items()}


@pytest.mark.parametrize("multiplicity", ["union", "concat"])
def test_the_state_holds_what_all_tasks_chose(base: BaseModelSpec, multiplicity: str) -> None:
    state, counts = _after(base, (1, 2, 1), multiplicity=multiplicity)

    places = read_places(state, _linear_shapes(counts))

    assert state.facts["tasks"] == 3
    assert places.keys() == counts.keys()
    for name, wanted in counts.items():
        assert int(wanted.max()) >= 2
        found = places[name].weights(0, wanted.shape[0], torch.int64)
        assert torch.equal(found, wanted if multiplicity == "concat" else (wanted > 0).long())


def test_a_saved_state_is_deflated_and_loads(base: BaseModelSpec, tmp_path: Path) -> None:
    state, counts = _after(base, (1,), top_percent=2.0)

    state.save(tmp_path)
    loaded = MethodState.load(tmp_path)

    entries = sum(it.numel() for it in counts.values())
    assert sum(it.nbytes for it in load_file(tmp_path / "state.safetensors").values()) < entries / 8
    model = _with_update(base, method := _method(), loaded, 2)
    assert method.penalty(model) is not None


@pytest.mark.parametrize("multiplicity", ["union", "concat"])
def test_the_penalty_and_its_gradients_equal_the_dense_formula(
    base: BaseModelSpec, multiplicity: str
) -> None:
    state, counts = _after(base, (1, 2, 1), multiplicity=multiplicity)
    method = _method(multiplicity=multiplicity)
    model = _with_update(base, method, state, 3).double()
    weights = counts if multiplicity == "concat" else {k: (v > 0) for k, v in counts.items()}
    trained = [it for it in model.parameters() if it.requires_grad]

    means = [dense_mean(it.a, it.b, weights[it.module].long()) for it in lora_matrices(model)]
    wanted = 3.0 * torch.stack(means).mean()
    found = method.penalty(model)

    assert found is not None
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    _same_gradients(found, wanted, trained)


def test_the_published_preset_is_the_published_loss(base: BaseModelSpec) -> None:
    state, counts = _after(base, (1, 2, 1), preset="published")
    method = _method(preset="published")
    model = _with_update(base, method, state, 3).double()
    adapters = [weight for it in lora_matrices(model) for weight in (it.a, it.b)]
    assert all(int(it.sum()) == 3 * int(0.02 * it.numel()) for it in counts.values())

    means = [listed_mean(it.a, it.b, listed(counts[it.module])) for it in lora_matrices(model)]
    wanted = PUBLISHED_LAMBDA * torch.stack(means).sum() / PUBLISHED_DIVISOR
    found = method.penalty(model)

    assert found is not None
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    _same_gradients(found, wanted, adapters)


def _same_gradients(found: Tensor, wanted: Tensor, weights: list[nn.Parameter]) -> None:
    ours, theirs = (torch.autograd.grad(value, weights) for value in (found, wanted))
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-12)


def test_the_published_preset_trains_and_exports_the_projector(
    base: BaseModelSpec, tmp_path: Path
) -> None:
    method = _method(preset="published")
    model = method.prepare(load_base(base, dtype=torch.float32), MethodState())
    trained = {name for name, it in model.named_parameters() if it.requires_grad}
    name = "model.connector.modality_projection.proj.weight"
    assert {it for it in trained if "lora_" not in it} == {f"base_model.model.{name}"}
    with torch.no_grad():
        model.get_parameter(f"base_model.model.{name}").fill_(0.5)

    method.export(model, tmp_path, base)

    written = load_file(tmp_path / "weights.safetensors")
    assert written.keys() == {f"full:{name}"}
    assert written[f"full:{name}"].unique().tolist() == [0.5]
    told = json.loads((tmp_path / "weights.json").read_text(encoding="utf-8"))
    assert told["base"] == f"{base.source}#{base.digest}"
    assert method.config.makes_servable == "merged"
    again = load_base(base, dtype=torch.float32, lineage=[str(tmp_path)])
    assert again.get_parameter(name).unique().tolist() == [0.5]


def test_by_default_the_projector_stays_frozen_and_the_delta_plain(
    base: BaseModelSpec, tmp_path: Path
) -> None:
    method = _method()
    model = method.prepare(load_base(base, dtype=torch.float32), MethodState())

    method.export(model, tmp_path, base)

    assert all("lora_" in name for name, it in model.named_parameters() if it.requires_grad)
    assert not (tmp_path / "weights.json").exists()
    assert method.config.makes_servable is None


def test_the_preset_fills_what_is_left_out_and_refuses_other_values() -> None:
    config = RegLoRAConfig(preset="published", rank=8)

    assert (config.multiplicity, config.divisor, config.rank) == ("concat", 224, 8)
    assert RegLoRAConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match=r"'concat', got 'union'"):
        RegLoRAConfig(preset="published", multiplicity="union")


@pytest.mark.parametrize(
    "bad",
    [
        {"top_percent": 0},
        {"top_percent": 100.1},
        {"top_percent": math.nan},
        {"top_percent": True},
        {"coefficient": -1},
        {"coefficient": math.inf},
        {"divisor": 0},
        {"preset": "other"},
        {"lambda": 1},
    ],
)
def test_configs_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RegLoRAConfig(**bad)


def test_counts_are_read_as_a_union_and_not_the_other_way(base: BaseModelSpec) -> None:
    counted, _ = _after(base, (1, 2), multiplicity="concat")
    union, _ = _after(base, (1, 2), multiplicity="union")

    method = _method()
    finished = method.finish(_with_update(base, method, counted, 3))

    assert finished.facts["multiplicity"] == "union"
    assert finished.facts["tasks"] == 3
    with pytest.raises(StateError, match="union"):
        _method(multiplicity="concat").prepare(load_base(base, dtype=torch.float32), union)


def test_places_of_matrices_not_adapted_now_are_carried_on(base: BaseModelSpec) -> None:
    state, _ = _after(base, (1,))
    method = _method(target_modules=("q_proj",))
    model = _with_update(base, method, state, 2)
    penalty = method.penalty(model)
    assert penalty is not None

    finished = method.finish(model)

    assert finished.tensors.keys() == state.tensors.keys()
    changed = {name for name, it in finished.tensors.items() if not _equal(it, state.tensors[name])}
    assert changed == {name for name in state.tensors if name.endswith("q_proj")}


def _equal(left: Tensor, right: Tensor) -> bool:
    return left.shape == right.shape and torch.equal(left, right)


def _refused(base: BaseModelSpec, tensors: dict[str, Tensor], **facts: Any) -> str:
    told = {"tasks": 1, "multiplicity": "union", "compression": "zlib", **facts}
    with pytest.raises(StateError) as refusal:
        _method().prepare(load_base(base, dtype=torch.float32), MethodState(tensors, told))
    return str(refusal.value)


Q_PROJ = "model.text_model.layers.0.self_attn.q_proj"


def test_places_of_unknown_modules_are_refused_naming_both_sides(base: BaseModelSpec) -> None:
    stored = Places.none(64, 64).deflated()

    told = _refused(base, {Q_PROJ: stored, "model.layers.99.q_proj": stored})

    assert "'model.layers.99.q_proj' (1 such modules of 2)" in told
    assert "'model.connector.modality_projection.proj'" in told


@pytest.mark.parametrize(
    ("stored", "side"),
    [
        (
            Places.none(32, 64).deflated(),
            "256 bytes, cut off or with a rest, 512 times 1 to 1 expected",
        ),
        (Places.none(64, 96).deflated(), "513 bytes, cut off"),
        (Places.none(64, 64).deflated()[:-9], "cut off or with a rest, 512 times"),
        (Places.none(64, 64).deflated().int(), "torch.int32 (82,), a stream in uint8 expected"),
        (torch.zeros(64, 7, dtype=torch.uint8), "uint8 (64, 7), bits in uint8 (64, 8) expected"),
        (torch.zeros(64, 8), "torch.float32 (64, 8), bits in uint8 (64, 8) expected"),
    ],
)
def test_places_of_another_shape_are_refused_naming_both_sides(
    base: BaseModelSpec, stored: Tensor, side: str
) -> None:
    told = _refused(base, {Q_PROJ: stored})

    assert side in told
    assert f"this base's {Q_PROJ!r} is (64, 64) (out, in)" in told


def test_a_share_that_is_no_entry_at_all_is_refused(base: BaseModelSpec) -> None:
    largest = 64 * 96  # of the tiny base's MLP
    _method(top_percent=100 / largest).prepare(load_base(base, dtype=torch.float32), MethodState())
    with pytest.raises(
        ConfigError, match=f"0.01 is less than one of the {largest} .* 100 / {largest}"
    ):
        _method(top_percent=0.01).prepare(load_base(base, dtype=torch.float32), MethodState())


def test_a_tasks_preset_stands_over_the_streams_fields() -> None:
    stream = RegLoRAConfig(rank=8, top_percent=10.0).model_dump(mode="json")

    config = RegLoRAConfig(**RegLoRAConfig.overridden(stream, {"preset": "published"}))

    assert config == RegLoRAConfig(preset="published", rank=8)
    assert RegLoRAConfig.overridden(stream, {"top_percent": 5.0}) == {**stream, "top_percent": 5.0}
    without = RegLoRAConfig(**RegLoRAConfig.overridden(config.model_dump(), {"preset": None}))
    assert without == config.model_copy(update={"preset": None})


@pytest.mark.parametrize("tasks", [0, -1, "2", None])
def test_a_state_that_miscounts_its_tasks_is_refused(base: BaseModelSpec, tasks: Any) -> None:
    assert "damaged" in _refused(base, {Q_PROJ: Places.none(64, 64).deflated()}, tasks=tasks)


def test_counts_end_before_they_become_inexact(base: BaseModelSpec) -> None:
    model = load_base(base, dtype=torch.float32)
    facts = {"tasks": 255, "multiplicity": "concat"}

    with pytest.raises(StateError, match="255"):
        _method(multiplicity="concat").prepare(model, MethodState({}, facts))


def test_uncompressed_bits_are_read_as_well(base: BaseModelSpec) -> None:
    mask = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) < 0.1
    state = MethodState({Q_PROJ: pack(mask)}, {"tasks": 1})

    method = _method()
    model = _with_update(base, method, state, 1)

    matrices = list(lora_matrices(model))
    target = next(it for it in matrices if it.module == Q_PROJ)
    found, wanted = method.penalty(model), dense_mean(target.a, target.b, mask.long())
    assert found is not None
    assert found.item() == pytest.approx(3.0 * wanted.item() / len(matrices), rel=1e-5)
