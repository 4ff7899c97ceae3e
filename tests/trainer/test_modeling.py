"""Targets, lineages and canaries on the random tiny base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trainer.tiny import colour_samples, make_spec
from trainer.canary import Answer, GreedyReader, Question, canary_questions, choose
from trainer.errors import DeltaError, InputError, NonFiniteLoss, TargetError
from trainer.methods.base import MethodState, build_method, lora_matrices
from trainer.modeling import find_targets, load_base, load_processor
from trainer.run import _export
from trainer.spec import BaseModelSpec


@pytest.fixture
def model(tiny_base: BaseModelSpec) -> Any:
    return load_base(tiny_base, dtype=torch.float32)


def save_random_delta(base: BaseModelSpec, folder: Path, seed: int) -> Path:
    """Export a LoRA whose update is not zero."""
    method = build_method("lora", {"rank": 2, "alpha": 3.0})
    model = method.prepare(load_base(base, dtype=torch.float32), MethodState())
    generator = torch.Generator().manual_seed(seed)
    for matrix in lora_matrices(model):
        matrix.b.data = torch.randn(matrix.b.shape, generator=generator) * 0.2
    method.export(model, folder, base)
    return folder


def test_targets_are_the_language_models_linears(model: Any) -> None:
    targets = find_targets(model, None)

    assert len(targets) == 2 * 7
    assert all("text_model" in name for name in targets)


def test_a_short_name_stays_in_the_language_model(model: Any) -> None:
    assert all("text_model" in name for name in find_targets(model, ["q_proj"]))
    assert len(find_targets(model, ["q_proj", "v_proj"])) == 4


def test_vision_and_projector_join_by_name(model: Any) -> None:
    outside = find_targets(model, ["fc1", "modality_projection.proj"])

    assert {name.rpartition(".")[2] for name in outside} == {"fc1", "proj"}


def test_an_unknown_target_is_refused_with_the_choices(model: Any) -> None:
    with pytest.raises(TargetError, match=r"'c_attn'.*q_proj"):
        find_targets(model, ["c_attn"])


def test_a_lineage_is_the_sum_of_its_deltas(
    tiny_base: BaseModelSpec, model: Any, tmp_path: Path
) -> None:
    folders = [save_random_delta(tiny_base, tmp_path / str(seed), seed) for seed in (1, 2)]

    composed = load_base(tiny_base, dtype=torch.float32, lineage=[str(it) for it in folders])

    name = find_targets(model, None)[3]
    expected = model.get_submodule(name).weight.clone()
    for folder in folders:
        tensors = load_file(folder / "adapter_model.safetensors")
        stem = f"base_model.model.{name}"
        expected += 1.5 * tensors[f"{stem}.lora_B.weight"] @ tensors[f"{stem}.lora_A.weight"]
    torch.testing.assert_close(composed.get_submodule(name).weight, expected, rtol=1e-6, atol=1e-6)
    assert not any(weight.requires_grad for weight in composed.parameters())


def test_bf16_is_cast_once(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    folder = str(save_random_delta(tiny_base, tmp_path / "delta", 1))
    whole = load_base(tiny_base, dtype=torch.float32, lineage=[folder])
    cast = load_base(tiny_base, dtype=torch.bfloat16, lineage=[folder])

    for left, right in zip(whole.parameters(), cast.parameters(), strict=True):
        assert torch.equal(left.to(torch.bfloat16), right)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_buffers_are_those_of_the_library(tiny_base: BaseModelSpec, dtype: torch.dtype) -> None:
    from transformers import AutoModelForImageTextToText

    stock = AutoModelForImageTextToText.from_pretrained(tiny_base.path, dtype=dtype)

    ours = dict(load_base(tiny_base, dtype=dtype).named_buffers())

    assert any("inv_freq" in name for name in ours)
    assert ours.keys() == dict(stock.named_buffers()).keys()
    for name, buffer in stock.named_buffers():
        assert ours[name].dtype == buffer.dtype, name
        assert torch.equal(ours[name], buffer), name


@pytest.mark.parametrize("fault", ["missing", "dora", "shape", "module"])
def test_deltas_that_do_not_fit_are_refused(
    tiny_base: BaseModelSpec, tmp_path: Path, fault: str
) -> None:
    folder = save_random_delta(tiny_base, tmp_path / "delta", 1)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    first = next(key for key in tensors if key.endswith("lora_A.weight"))
    if fault == "missing":
        path.unlink()
    elif fault == "dora":
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        config["use_dora"] = True
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    elif fault == "shape":
        save_file({**tensors, first: torch.zeros(2, 7)}, path)
    else:
        renamed = {key.replace("text_model", "other_model"): it for key, it in tensors.items()}
        save_file(renamed, path)

    with pytest.raises(DeltaError):
        load_base(tiny_base, dtype=torch.float32, lineage=[str(folder)])


def test_a_base_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    spec = BaseModelSpec(path=str(tmp_path / "empty"), source="nobody", digest="0")

    with pytest.raises(InputError, match="nobody"):
        load_base(spec, dtype=torch.float32)


def test_pickled_weights_are_not_loaded(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base.path, folder)
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.rename(folder / "unrelated.safetensors")
    spec = BaseModelSpec(path=str(folder), source="pickled", digest="0")

    with pytest.raises(InputError, match="pickled"):
        load_base(spec, dtype=torch.float32)


def test_batched_canary_answers_equal_single_ones(
    tiny_base: BaseModelSpec, model: Any, tmp_path: Path
) -> None:
    questions = canary_questions(colour_samples(tmp_path, 7), {})
    reader = GreedyReader(load_processor(tiny_base), tmp_path)

    together = reader.answers(model, questions)
    alone = [reader.answers(model, [question])[0] for question in questions]

    assert [it.text for it in together] == [it.text for it in alone]
    for left, right in zip(together, alone, strict=True):
        assert left.logprobs == pytest.approx(right.logprobs, abs=1e-4)


def test_the_bases_generation_config_does_not_bend_the_answers(
    tiny_base: BaseModelSpec, model: Any, tmp_path: Path
) -> None:
    questions = canary_questions(colour_samples(tmp_path, 4), {})
    reader = GreedyReader(load_processor(tiny_base), tmp_path)
    plain = reader.answers(model, questions)
    bent = load_base(tiny_base, dtype=torch.float32)
    bent.generation_config.repetition_penalty = 3.0
    bent.generation_config.no_repeat_ngram_size = 1
    bent.generation_config.suppress_tokens = list(range(10, 400))

    assert reader.answers(bent, questions) == plain
    assert bent.generation_config.eos_token_id == model.config.eos_token_id


def test_an_export_that_is_not_finite_is_refused(
    tiny_base: BaseModelSpec, model: Any, tmp_path: Path
) -> None:
    method = build_method("lora", {"rank": 2, "alpha": 3.0})
    prepared = method.prepare(model, MethodState())
    spec = make_spec(tmp_path, tiny_base)
    _export(prepared, method, spec)
    next(lora_matrices(prepared)).b.data[0, 0] = float("inf")

    with pytest.raises(NonFiniteLoss, match=r"lora_B.*adapter_model.*learning_rate"):
        _export(prepared, method, spec)


def _answers(*texts: str) -> list[Answer]:
    return [Answer(text, (-0.1,) * len(text), 1.0) for text in texts]


def test_a_canary_prefers_what_differs_from_parent_and_base_then_short() -> None:
    questions = [Question(str(number), ()) for number in range(5)]

    canary = choose(
        questions,
        _answers("long", "ab", "c", "d", "e"),
        _answers("x", "x", "c", "x", "e"),
        _answers("y", "y", "y", "d", "e"),
    )

    assert [prompt.question for prompt in canary.prompts] == ["1", "0", "2", "3"]
    assert canary.distinguishes_parent
    assert canary.distinguishes_base


def test_a_version_without_difference_says_so() -> None:
    questions = [Question(str(number), ()) for number in range(5)]
    same = _answers("a", "b", "c", "d", "e")

    canary = choose(questions, same, same, same)

    assert len(canary.prompts) == 2
    assert not canary.distinguishes_parent
    assert not canary.distinguishes_base


def test_a_canary_takes_stable_answers_only_where_there_are_any() -> None:
    questions = [Question(str(number), ()) for number in range(4)]
    base = _answers("x", "x", "x", "x")
    margins = [0.01, 0.3, 0.0, 2.0]
    this = [Answer(text, (-0.1,), m) for text, m in zip("abcx", margins, strict=True)]

    exact = choose(questions, this, base, base)
    rounded = choose(questions, this, base, base, dtype="bf16")
    shaky = choose(questions, [Answer("a", (-0.1,), 0.01)] * 4, base, base)

    assert [prompt.question for prompt in exact.prompts] == ["1"]
    assert [prompt.question for prompt in rounded.prompts] == ["3"]  # in 16 bits 0.3 is not clear
    assert (exact.dtype, rounded.dtype) == ("fp32", "bf16")
    assert len(shaky.prompts) == 4


def test_a_canary_avoids_answers_cut_within_a_character() -> None:
    questions = [Question(str(number), ()) for number in range(3)]
    this = _answers("a p\ufffd", "ab", "ab\ufffd")
    base = _answers("x", "x", "ab")

    canary = choose(questions, this, base, base)
    broken = choose(questions[2:], this[2:], base[2:], base[2:])

    assert [prompt.question for prompt in canary.prompts] == ["1"]
    assert not broken.distinguishes_base  # the same but for an incomplete character
