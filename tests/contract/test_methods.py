"""What every method of the catalog must hold, in process on a random tiny base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from tests.trainer.small import small_config
from tests.trainer.tiny import colour_samples, save_tiny_base
from trainer.catalog import METHODS
from trainer.data import Collator, Corpus
from trainer.errors import StateError
from trainer.loop import answer_loss
from trainer.methods.base import Method, MethodState, build_method, lora_matrices
from trainer.modeling import load_base, load_processor
from trainer.rows import RowEncoder
from trainer.spec import BaseModelSpec, Hyperparameters

ADAPTERS = sorted(name for name, entry in METHODS.items() if entry.servable_by == "lora")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModelSpec:
    return save_tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def batch(base: BaseModelSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    blobs = tmp_path_factory.mktemp("blobs")
    encoder = RowEncoder(load_processor(base), blob_dir=blobs, max_length=256)
    corpus = Corpus(colour_samples(blobs, 6), encoder)
    return Collator(0)([corpus[index] for index in range(6)])


@pytest.fixture(params=sorted(METHODS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _prepared(
    name: str, base: BaseModelSpec, state: MethodState, batch: dict[str, Tensor]
) -> tuple[Method, Any]:
    method = build_method(name, small_config(name))
    if method.calibration(Hyperparameters()) is not None:
        model = method.prepare(load_base(base, dtype=torch.float32), state)
        _train(method, model, batch)
        method.calibrated(model)
    torch.manual_seed(0)
    return method, method.prepare(load_base(base, dtype=torch.float32), state)


def _train(
    method: Method, model: Any, batch: dict[str, Tensor], *, steps: int = 3, rate: float = 1e-2
) -> None:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    method.mask_gradients(model)
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.0)
    labels = batch["labels"]
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    for _ in range(steps):
        loss = answer_loss(model(**inputs).logits, labels) / (labels != -100).sum()
        penalty = method.penalty(model)
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture
def first_task(
    name: str, base: BaseModelSpec, batch: dict[str, Tensor]
) -> tuple[Method, Any, MethodState]:
    method, model = _prepared(name, base, MethodState(), batch)
    _train(method, model, batch)
    return method, model, method.finish(model)


def test_the_config_survives_json(name: str) -> None:
    config = METHODS[name].config(**small_config(name))

    assert METHODS[name].config.model_validate_json(config.model_dump_json()) == config


def test_an_unknown_or_unused_key_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        METHODS[name].config(**small_config(name), coefficent=1.0)


def test_what_is_not_trained_stays_bitwise_the_same(
    name: str, base: BaseModelSpec, batch: dict[str, Tensor]
) -> None:
    method, model = _prepared(name, base, MethodState(), batch)
    frozen = {key: it for key, it in model.named_parameters() if not it.requires_grad}
    before = {key: it.detach().clone() for key, it in frozen.items()}

    _train(method, model, batch)

    assert before
    for key, weight in frozen.items():
        assert torch.equal(weight, before[key]), key


def test_the_same_seed_gives_the_same_delta_and_state(
    first_task: tuple[Method, Any, MethodState],
    name: str,
    base: BaseModelSpec,
    batch: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    method, model = _prepared(name, base, MethodState(), batch)
    _train(method, model, batch)
    for folder, (told, trained) in {"a": first_task[:2], "b": (method, model)}.items():
        told.export(trained, tmp_path / folder / "delta", base)
        told.finish(trained).save(tmp_path / folder / "state")

    for path in (tmp_path / "a").rglob("*.*"):
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes(), path.name


@pytest.mark.parametrize("protector", ["olora", "reglora"])
def test_the_first_task_of_what_protects_earlier_ones_equals_plain_lora(
    protector: str, base: BaseModelSpec, batch: dict[str, Tensor]
) -> None:
    trained = []
    for name in (protector, "lora"):
        method, model = _prepared(name, base, MethodState(), batch)
        _train(method, model, batch)
        trained.append(list(lora_matrices(model)))

    for ours, theirs in zip(*trained, strict=True):
        assert torch.equal(ours.b, theirs.b)


def test_the_state_reloads_equal(
    first_task: tuple[Method, Any, MethodState], tmp_path: Path
) -> None:
    state = first_task[2]

    state.save(tmp_path)
    loaded = MethodState.load(tmp_path)

    assert loaded.facts == state.facts
    assert loaded.tensors.keys() == state.tensors.keys()
    assert all(torch.equal(loaded.tensors[key], it) for key, it in state.tensors.items())


def test_the_penalty_is_finite_and_differentiable(
    first_task: tuple[Method, Any, MethodState],
    name: str,
    base: BaseModelSpec,
    batch: dict[str, Tensor],
) -> None:
    method, model = _prepared(name, base, first_task[2], batch)
    _train(method, model, batch, steps=1)

    penalty = method.penalty(model)

    assert (penalty is not None) == method.penalises
    if penalty is not None:
        assert torch.isfinite(penalty)
        assert penalty > 0
        penalty.backward()
        assert any(it.grad is not None for it in model.parameters())


def test_the_export_reloads_with_the_same_logits(
    first_task: tuple[Method, Any, MethodState],
    base: BaseModelSpec,
    batch: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    method, model, _ = first_task
    method.export(model, tmp_path, base)
    expected = _logits(model, batch)
    untrained = _logits(load_base(base, dtype=torch.float32), batch)

    reloaded = _logits(load_base(base, dtype=torch.float32, lineage=[str(tmp_path)]), batch)

    torch.testing.assert_close(reloaded, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(untrained, expected, rtol=1e-3, atol=1e-3)
    for path in tmp_path.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert base.path not in text
        assert base.digest in text


def test_an_adapter_opens_with_stock_peft(
    adapter: str, base: BaseModelSpec, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    from peft import PeftModel

    method, model = _prepared(adapter, base, MethodState(), batch)
    _train(method, model, batch)
    method.export(model, tmp_path, base)

    stock = PeftModel.from_pretrained(load_base(base, dtype=torch.float32), tmp_path)

    assert torch.equal(_logits(stock, batch), _logits(model, batch))


@torch.no_grad()
def _logits(model: Any, batch: dict[str, Tensor]) -> Tensor:
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    logits: Tensor = model.eval()(**inputs).logits
    return logits


def test_an_unreadable_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError):
        MethodState.load(tmp_path / "nowhere")


def test_a_state_whose_facts_are_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("[]", encoding="utf-8")

    with pytest.raises(StateError, match="JSON list"):
        MethodState.load(tmp_path)


def test_exported_tensors_are_contiguous_and_named_for_engines(
    adapter: str, base: BaseModelSpec, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    method, model = _prepared(adapter, base, MethodState(), batch)
    method.export(model, tmp_path, base)

    tensors = load_file(tmp_path / "adapter_model.safetensors")

    assert len(tensors) == 2 * 14
    prefix = "base_model.model.model.text_model.layers."
    assert all(key.startswith(prefix) for key in tensors)


def test_a_state_of_another_base_or_method_is_refused_by_both_names(
    first_task: tuple[Method, Any, MethodState], name: str, base: BaseModelSpec
) -> None:
    state = first_task[2].of_base(base)
    other = base.model_copy(update={"digest": "f" * 64})

    state.refuse_foreign(name, base)
    with pytest.raises(StateError, match=f"(?s){base.digest}.*{other.digest}"):
        state.refuse_foreign(name, other)
    if state.tensors:
        with pytest.raises(StateError, match=f"written by '{name}'.*'another'"):
            state.refuse_foreign("another", base)


def test_a_state_with_unknown_modules_or_shapes_is_refused(
    first_task: tuple[Method, Any, MethodState],
    name: str,
    base: BaseModelSpec,
    batch: dict[str, Tensor],
) -> None:
    state = first_task[2]
    if not state.tensors:
        pytest.skip("this method carries no tensors")
    renamed = {key.replace("text_model", "other_model"): it for key, it in state.tensors.items()}
    shorter = {key: it[..., :-1] for key, it in state.tensors.items()}

    for tensors in (renamed, shorter):
        with pytest.raises(StateError, match="base"):
            _prepared(name, base, MethodState(tensors, state.facts), batch)


def test_the_state_of_matrices_not_adapted_now_is_checked_as_well(
    first_task: tuple[Method, Any, MethodState], name: str, base: BaseModelSpec
) -> None:
    state = first_task[2]
    if not state.tensors:
        pytest.skip("this method carries no tensors")
    method = build_method(name, {**small_config(name), "target_modules": ("q_proj",)})
    off = {key: it[..., :-1] if "v_proj" in key else it for key, it in state.tensors.items()}

    with pytest.raises(StateError, match=r"v_proj.*base"):
        method.prepare(load_base(base, dtype=torch.float32), MethodState(off, state.facts))
