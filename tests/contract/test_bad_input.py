"""What is refused before any step, with both sides named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from tests.trainer import attempts
from tests.trainer.tiny import make_spec, save_tiny_base
from trainer.catalog import METHODS
from trainer.deltas import SparseWeight, WholeWeight, write_weights
from trainer.errors import ConfigError, DeltaError, reason_of
from trainer.methods.base import MethodState, build_method
from trainer.modeling import load_base
from trainer.run import prepared
from trainer.spec import BaseModelSpec


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModelSpec:
    return save_tiny_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize(
    ("method", "config"),
    [
        ("lora", {"rank": 513}),  # over the largest rank limit of any engine
        ("lora", {"carry_over": "merge"}),
        ("lora", {"alpha": math.inf}),
        ("lora", {"rank": True}),
        ("lora", {"rank": "4"}),
        ("reglora", {"top_percent": 0}),
        ("reglora", {"top_percent": 100.5}),
        ("reglora", {"coefficient": -1}),
        ("reglora", {"carry_over": "continue"}),
        ("olora", {"orthogonality": -0.1}),
        ("olora", {"l2": -0.1}),
        ("olora", {"orthogonality": math.inf}),
        ("olora", {"form": "cubed"}),
        ("full", {"rank": 4}),
        ("lota", {"sparsity": 1.0}),
        ("lota", {"sparsity": 0}),
        ("lota", {"calibration_epochs": 0}),
        ("lota", {"rank": 4}),
        ("moelora", {"experts": 0}),
        ("moelora", {"rank": 10, "experts": 4}),
        ("moelora", {"target_modules": ()}),
    ],
)
def test_values_out_of_range_and_unused_keys_are_refused(
    method: str, config: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as refusal:
        METHODS[method].config(**config)

    assert any(key in str(refusal.value) for key in config)
    with pytest.raises(ConfigError, match=f"does not fit {method!r}: .*got.* Its fields are "):
        build_method(method, config)


def test_a_job_with_an_unknown_key_or_method_is_bad_input_by_name() -> None:
    with pytest.raises(ConfigError, match=r"rnk: Extra .* \(got 4\)\. .* alpha, carry") as refusal:
        build_method("lora", {"rnk": 4})
    assert reason_of(refusal.value) == "invalid_input"
    with pytest.raises(ConfigError, match="'magic': use one of full, lora"):
        build_method("magic", {})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (WholeWeight(torch.zeros(3)), r"\(3,\), the base has \(64,\)"),
        (SparseWeight(torch.tensor([64]), torch.zeros(1)), "places up to 64, the base has 64"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_both_sides(
    base: BaseModelSpec, tmp_path: Path, change: Any, what: str
) -> None:
    write_weights(tmp_path, base, {"model.text_model.norm.weight": change})

    with pytest.raises(DeltaError, match=what):
        load_base(base, dtype=torch.float32, lineage=[str(tmp_path)])


def test_weights_of_another_base_are_refused_by_both_names(
    base: BaseModelSpec, tmp_path: Path
) -> None:
    other = base.model_copy(update={"digest": "f" * 64})
    write_weights(tmp_path, other, {"model.text_model.norm.weight": WholeWeight(torch.zeros(64))})

    with pytest.raises(DeltaError, match=f"(?s){other.digest}.*{base.digest}"):
        load_base(base, dtype=torch.float32, lineage=[str(tmp_path)])


def test_a_parents_adapter_of_another_base_is_not_continued(
    base: BaseModelSpec, tmp_path: Path
) -> None:
    config = {"rank": 4, "alpha": 8.0, "carry_over": "continue"}
    method, other = build_method("lora", config), base.model_copy(update={"digest": "f" * 64})
    model = method.prepare(load_base(base, dtype=torch.float32), MethodState())
    method.export(model, tmp_path / "parent", other)
    spec = make_spec(tmp_path, base, method_config=config, lineage=(f"{tmp_path}/parent",))

    with pytest.raises(DeltaError, match=f"(?s){other.digest}.*{base.digest}"):
        prepared(build_method("lora", config), spec, MethodState())


@pytest.mark.conformance
def test_a_foreign_state_ends_the_attempt_before_the_first_step(
    base: BaseModelSpec, tmp_path: Path
) -> None:
    MethodState(facts={"method": "lora", "base": "e" * 64}).save(tmp_path / "state")
    spec = make_spec(tmp_path, base, state_dir=str(tmp_path / "state"))

    record = attempts.run(spec)

    assert record.reason == "invalid_input"
    assert record.message is not None
    assert "e" * 64 in record.message
    assert base.digest in record.message
    events = (Path(spec.output_dir) / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert not [event for event in map(json.loads, events) if event["kind"] == "step"]
