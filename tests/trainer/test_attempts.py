"""Whole attempts under the real supervisor, torchrun and DeepSpeed: ends, kills, resumes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from asd_rewriter.samples import write_samples
from tests.trainer import attempts
from tests.trainer.tiny import colour_samples, make_spec, save_tiny_base
from trainer.canary import GreedyReader, Question
from trainer.modeling import load_base, load_processor
from trainer.processes import descendants_of
from trainer.spec import BaseModelSpec, Canary, ProcessRecord, TrainSpec

pytestmark = pytest.mark.conformance

STEPS = 60
LONG = {"epochs": 10.0, "batch_size": 4, "checkpoint_every_steps": 8}  # 24 rows: 6 steps an epoch
CONFIGS: dict[str, dict[str, Any]] = {  # all others are walked by the conformance suite
    "lora": {"rank": 4, "alpha": 8.0},
    "reglora": {"rank": 4, "alpha": 8.0, "top_percent": 5.0, "coefficient": 50.0},
}


@pytest.fixture(scope="module")
def parents(
    tiny_base: BaseModelSpec, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, TrainSpec]:
    """Return one finished first task per method."""
    root = tmp_path_factory.mktemp("parents")
    specs = {}
    for method in CONFIGS:
        specs[method] = make_spec(root, tiny_base, f"{method}-parent", **_method(method))
        assert attempts.run(specs[method]).reason == "succeeded"
    return specs


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def second_task(
    request: pytest.FixtureRequest,
    parents: dict[str, TrainSpec],
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainSpec:
    """Return the spec of an uninterrupted second task, finished."""
    parent = parents[request.param]
    spec = make_spec(
        tmp_path_factory.mktemp("second"),
        parent.base,
        "uninterrupted",
        lineage=(f"{parent.output_dir}/delta",),
        state_dir=f"{parent.output_dir}/state",
        hyperparameters=LONG,
        **_method(request.param),
    )
    assert attempts.run(spec).reason == "succeeded"
    return spec


def _method(name: str) -> dict[str, Any]:
    return {"method": name, "method_config": CONFIGS[name]}


def _again(spec: TrainSpec, name: str) -> TrainSpec:
    root = Path(spec.output_dir).parent
    copy = spec.model_copy(update={"output_dir": str(root / name)})
    (root / f"{name}.json").write_text(copy.model_dump_json(), encoding="utf-8")
    return copy


def test_an_attempt_leaves_what_its_result_lists(second_task: TrainSpec) -> None:
    result = attempts.result_of(second_task)

    assert result.steps == STEPS
    assert result.resumed_from_step is None
    assert {"delta/adapter_model.safetensors", "state/state.json", "canary.json"} <= set(
        result.files
    )
    assert result.peak_memory_bytes < 1.5e9


def test_the_canary_is_what_the_composed_model_says(second_task: TrainSpec) -> None:
    folder = Path(second_task.output_dir)
    canary = Canary.model_validate_json((folder / "canary.json").read_text(encoding="utf-8"))
    lineage = (*second_task.lineage, str(folder / "delta"))
    model = load_base(second_task.base, dtype=torch.float32, lineage=lineage)
    blobs = Path(second_task.blob_dir)
    reader = GreedyReader(load_processor(second_task.base), blobs)

    answers = reader.answers(model, [Question(it.question, it.images) for it in canary.prompts])

    assert canary.distinguishes_parent
    assert [it.text for it in answers] == [it.answer for it in canary.prompts]
    for answer, prompt in zip(answers, canary.prompts, strict=True):
        assert answer.logprobs == pytest.approx(prompt.logprobs, abs=1e-4)


def test_killed_and_resumed_equals_uninterrupted(second_task: TrainSpec) -> None:
    spec = _again(second_task, "killed")
    process = attempts.start(spec)
    attempts.wait_for_step(spec, 20)

    attempts.kill_ranks(process.pid)

    record = attempts.finish(process, spec)
    assert (record.reason, record.signal) == ("killed", signal.SIGKILL)
    assert attempts.run(spec).reason == "succeeded"
    resumed, whole = attempts.result_of(spec), attempts.result_of(second_task)
    assert resumed.resumed_from_step is not None
    assert resumed.resumed_from_step >= 8
    assert resumed.files == whole.files


def test_sigterm_checkpoints_and_the_resumed_run_is_identical(second_task: TrainSpec) -> None:
    spec = _again(second_task, "stopped")
    process = attempts.start(spec)
    attempts.wait_for_step(spec, 20)

    process.send_signal(signal.SIGTERM)

    record = attempts.finish(process, spec)
    assert (record.reason, record.code, process.returncode) == ("checkpointed", 75, 75)
    assert attempts.run(spec).reason == "succeeded"
    resumed = attempts.result_of(spec)
    assert resumed.resumed_from_step is not None
    assert resumed.resumed_from_step >= 20
    assert resumed.files == attempts.result_of(second_task).files


def test_a_complete_attempt_is_not_trained_again(parents: dict[str, TrainSpec]) -> None:
    spec = parents["lora"]
    before = attempts.result_of(spec)

    started = time.monotonic()
    record = attempts.run(spec)

    assert record.reason == "succeeded"
    assert time.monotonic() - started < 5
    assert attempts.result_of(spec) == before


@pytest.mark.deep
@pytest.mark.parametrize(
    ("ranks", "stage", "precision"),
    [(2, 2, "fp32"), (1, 3, "fp32"), (2, 3, "fp32"), (1, 2, "bf16")],
)
def test_other_shapes_of_a_run_stop_and_resume(
    parents: dict[str, TrainSpec], tmp_path: Path, ranks: int, stage: int, precision: str
) -> None:
    parent = parents["reglora"]
    spec = make_spec(
        tmp_path,
        parent.base,
        lineage=(f"{parent.output_dir}/delta",),
        state_dir=f"{parent.output_dir}/state",
        text_rows=False,
        hyperparameters={**LONG, "ranks": ranks, "zero_stage": stage, "precision": precision},
        **_method("reglora"),
    )
    process = attempts.start(spec)
    attempts.wait_for_step(spec, 10)
    process.send_signal(signal.SIGTERM)
    record = attempts.finish(process, spec)
    assert record.reason == "checkpointed", record.log_tail

    record = attempts.run(spec)

    assert record.reason == "succeeded", record.log_tail
    result = attempts.result_of(spec)
    assert result.final_penalty is not None
    assert result.final_penalty > 0
    assert result.resumed_from_step is not None
    assert result.resumed_from_step < STEPS // ranks
    delta = load_file(Path(spec.output_dir) / "delta" / "adapter_model.safetensors")
    assert all(tensor.numel() for tensor in delta.values())
    whole = _again(spec, "whole")
    assert attempts.run(whole).reason == "succeeded"
    assert result.files == attempts.result_of(whole).files
    assert result.final_loss == attempts.result_of(whole).final_loss


def test_a_missing_image_fails_with_its_digest(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, tiny_base, blob_dir=str(tmp_path / "nowhere"))

    record = attempts.run(spec)

    assert record.reason == "invalid_input"
    assert "InputError: Cannot read image" in "\n".join(record.log_tail)


def test_a_stop_while_the_canary_is_made_ends_at_once_and_cut_rows_are_told(
    tiny_base: BaseModelSpec, tmp_path: Path
) -> None:
    spec = make_spec(tmp_path, tiny_base, hyperparameters={"max_length": 54})
    write_samples(Path(spec.canary_samples), colour_samples(tmp_path / "blobs", 32, seed=1000))
    process = attempts.start(spec)
    state = Path(spec.output_dir) / "state" / "state.json"
    while not state.exists() and process.poll() is None:
        time.sleep(0.02)

    process.send_signal(signal.SIGTERM)

    record = attempts.finish(process, spec)
    assert (record.reason, record.code) == ("checkpointed", 75), record.log_tail
    assert "stopped outside training" in str(record.message)
    events = (Path(spec.output_dir) / "events.jsonl").read_text(encoding="utf-8")
    assert events.count("18 of 24 rows were cut at max_length 54 tokens") == 1
    assert attempts.run(spec).reason == "succeeded"
    assert attempts.result_of(spec).final_loss is not None


def test_nan_is_named(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    poisoned = save_tiny_base(tmp_path / "base")
    weights = Path(poisoned.path) / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.text_model.norm.weight"].fill_(float("nan"))
    save_file(tensors, weights, metadata={"format": "pt"})
    spec = make_spec(tmp_path, poisoned)

    record = attempts.run(spec)

    assert record.reason == "nan_loss"
    assert "The loss is nan at step 1" in "\n".join(record.log_tail)
    assert not (Path(spec.output_dir) / "result.json").exists()


def test_no_trainer_outlives_its_supervisor(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, tiny_base, rows=48, hyperparameters={"epochs": 100.0})
    process = attempts.start(spec)
    attempts.wait_for_step(spec, 1)
    below = descendants_of(process.pid)
    text = (Path(spec.output_dir) / "process.json").read_text(encoding="utf-8")
    record = ProcessRecord.model_validate_json(text)
    assert record.alive()

    process.kill()
    process.wait()

    assert not record.alive()
    deadline = time.monotonic() + 5
    while any(_runs(pid) for pid in below) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in below if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return stat.rpartition(")")[2].split()[0] != "Z"
