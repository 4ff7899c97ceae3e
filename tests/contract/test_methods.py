"""What every method of the catalog must hold, in process on a random tiny base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.trainer.tiny import colour_samples, save_tiny_base
from trainer.catalog import METHODS
from trainer.data import Collator, Corpus
from trainer.errors import StateError
from trainer.loop import answer_loss
from trainer.methods.base import Method, MethodState, build_method, lora_matrices
from trainer.methods.protected import unpack
from trainer.modeling import load_base, load_processor
from trainer.rows import RowEncoder
from trainer.spec import BaseModelSpec

SMALL: dict[str, dict[str, Any]] = {
    "lora": {"rank": 4, "alpha": 8.0},
    "reglora": {"rank": 4, "alpha": 8.0, "top_percent": 10.0, "coefficient": 3.0},
}


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


def _prepared(name: str, base: BaseModelSpec, state: MethodState) -> tuple[Method, Any]:
    method = build_method(name, SMALL[name])
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
    method, model = _prepared(name, base, MethodState())
    _train(method, model, batch)
    return method, model, method.finish(model)


def test_the_config_survives_json(name: str) -> None:
    config = METHODS[name].config(**SMALL[name])

    assert METHODS[name].config.model_validate_json(config.model_dump_json()) == config


def test_everything_but_the_adapter_stays_bitwise_the_same(
    first_task: tuple[Method, Any, MethodState], base: BaseModelSpec
) -> None:
    trained = first_task[1].unload().state_dict()

    for key, value in load_base(base, dtype=torch.float32).state_dict().items():
        assert torch.equal(trained[key], value), key


def test_the_first_task_equals_plain_lora(
    first_task: tuple[Method, Any, MethodState], base: BaseModelSpec, batch: dict[str, Tensor]
) -> None:
    plain, model = _prepared("lora", base, MethodState())
    _train(plain, model, batch)

    for ours, theirs in zip(lora_matrices(first_task[1]), lora_matrices(model), strict=True):
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
    method, model = _prepared(name, base, first_task[2])
    _train(method, model, batch, steps=1)

    penalty = method.penalty(model)

    if penalty is not None:
        assert torch.isfinite(penalty)
        assert penalty > 0
        penalty.backward()
        assert any(matrix.b.grad is not None for matrix in lora_matrices(model))


def test_the_export_reloads_with_stock_peft(
    first_task: tuple[Method, Any, MethodState],
    base: BaseModelSpec,
    batch: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    from peft import PeftModel

    method, model, _ = first_task
    method.export(model, tmp_path, base)
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    with torch.no_grad():
        expected = model.eval()(**inputs).logits

    stock = PeftModel.from_pretrained(load_base(base, dtype=torch.float32), tmp_path).eval()
    composed = load_base(base, dtype=torch.float32, lineage=[str(tmp_path)])

    with torch.no_grad():
        assert torch.equal(stock(**inputs).logits, expected)
        torch.testing.assert_close(composed(**inputs).logits, expected, rtol=1e-4, atol=1e-5)
    text = (tmp_path / "adapter_config.json").read_text(encoding="utf-8")
    assert base.path not in text
    assert base.digest in text


def test_an_unreadable_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError):
        MethodState.load(tmp_path / "nowhere")


def _reglora(**changes: Any) -> Method:
    return build_method("reglora", {**SMALL["reglora"], **changes})


def _with_update(base: BaseModelSpec, method: Method, state: MethodState, seed: int) -> Any:
    model = method.prepare(load_base(base, dtype=torch.float32), state)
    generator = torch.Generator().manual_seed(seed)
    for matrix in lora_matrices(model):
        matrix.b.data = torch.randn(matrix.b.shape, generator=generator)
    return model


def test_reglora_keeps_the_union_and_counts_under_concat(base: BaseModelSpec) -> None:
    states = {}
    for multiplicity in ("union", "concat"):
        torch.manual_seed(0)
        state = MethodState()
        for seed in (1, 2):
            method = _reglora(multiplicity=multiplicity)
            state = method.finish(_with_update(base, method, state, seed))
        states[multiplicity] = state

    assert states["union"].facts["tasks"] == 2
    for key, counters in states["concat"].tensors.items():
        bits = states["union"].tensors[key]
        share = counters.numel() // 10
        assert int(counters.sum()) == 2 * share  # each task chose its own tenth
        assert torch.equal(unpack(bits, counters.shape[1]), counters > 0)


def test_reglora_penalty_equals_the_dense_formula(base: BaseModelSpec) -> None:
    for multiplicity in ("union", "concat"):
        torch.manual_seed(0)
        first = _reglora(multiplicity=multiplicity)
        state = first.finish(_with_update(base, first, MethodState(), 1))
        again = _reglora(multiplicity=multiplicity)
        state = again.finish(_with_update(base, again, state, 2))
        method = _reglora(multiplicity=multiplicity)
        model = _with_update(base, method, state, 3)

        means = []
        for matrix in lora_matrices(model):
            stored = state.tensors[matrix.module]
            weights = stored if multiplicity == "concat" else unpack(stored, matrix.a.shape[1])
            update = (matrix.b @ matrix.a).abs().double()
            means.append((weights * update).sum() / weights.sum())

        penalty = method.penalty(model)
        assert penalty is not None
        assert penalty.item() == pytest.approx(3.0 * torch.stack(means).mean().item(), rel=1e-5)


def test_reglora_refuses_states_it_cannot_use(base: BaseModelSpec) -> None:
    method = _reglora()
    state = method.finish(_with_update(base, method, MethodState(), 1))
    model = load_base(base, dtype=torch.float32)

    with pytest.raises(StateError, match="union"):
        _reglora(multiplicity="concat").prepare(model, state)
    smaller = {key: tensor[:1] for key, tensor in state.tensors.items()}
    with pytest.raises(StateError, match="another base"):
        _reglora().prepare(load_base(base, dtype=torch.float32), MethodState(smaller, state.facts))


def test_reglora_reads_counts_as_a_union(base: BaseModelSpec) -> None:
    counted = _reglora(multiplicity="concat")
    state = counted.finish(_with_update(base, counted, MethodState(), 1))

    method = _reglora()
    model = _with_update(base, method, state, 2)

    assert method.penalty(model) is not None
    assert method.finish(model).facts["multiplicity"] == "union"


def test_exported_tensors_are_contiguous_and_named_for_engines(
    first_task: tuple[Method, Any, MethodState], base: BaseModelSpec, tmp_path: Path
) -> None:
    method, model, _ = first_task
    method.export(model, tmp_path, base)

    tensors = load_file(tmp_path / "adapter_model.safetensors")

    assert len(tensors) == 2 * 14
    prefix = "base_model.model.model.text_model.layers."
    assert all(key.startswith(prefix) for key in tensors)
