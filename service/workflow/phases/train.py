"""Train: one attempt in its own folder, started or taken up again, watched through its files."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path
from typing import Any

from adapters_store.lineage import lineage_of
from adapters_store.manifest import VersionManifest
from service.executors.local import SPEC_FILE, AttemptStatus, supervisor_log
from service.streams.bases import check_base
from service.workflow.context import Cancelled, Context, Facts, Interrupted
from service.workflow.failures import TrainingFailed, training_failure
from trainer.spec import BaseModelSpec, Hyperparameters, TrainResult, TrainSpec

POLL_SECONDS = 0.5
MAX_RESUMES = 3
"""How often a trainer that was killed or stopped by others is resumed before the job fails."""
_CANCEL_GRACE_SECONDS = 1.0
_RESUMABLE = ("checkpointed", "killed")


def run(ctx: Context) -> dict[str, Any]:
    """Train to the end; return the attempt's folder name and its result's figures."""
    attempt_dir = ctx.attempt_dir
    _check_base(ctx)
    _write_spec(ctx, attempt_dir)
    progress = TrainingProgress(ctx, attempt_dir / "events.jsonl")
    try:
        _watch(ctx, attempt_dir, progress)
    except Interrupted as interruption:
        cancelled = isinstance(interruption, Cancelled)
        grace = _CANCEL_GRACE_SECONDS if cancelled else ctx.tools.settings.stop_grace_seconds
        ctx.tools.executor.stop(attempt_dir, grace)
        raise
    except TrainingFailed:
        _check_base(ctx)  # a base that was overwritten while it was mapped: say so
        raise
    _check_base(ctx)
    text = (attempt_dir / "result.json").read_text(encoding="utf-8")
    result = TrainResult.model_validate_json(text)
    return {"attempt": attempt_dir.name, **result.model_dump(mode="json", exclude={"files"})}


def _check_base(ctx: Context) -> None:
    stream = ctx.facts().stream
    check_base(Path(stream.base_path), stream.base_digest)


def _watch(ctx: Context, attempt_dir: Path, progress: TrainingProgress) -> None:
    """Return when the attempt is complete; raises TrainingFailed."""
    executor, resumes = ctx.tools.executor, 0
    executor.start(attempt_dir)
    while (status := executor.poll(attempt_dir)).state != "complete":
        ctx.check()
        if status.state == "running":
            progress.report()
            ctx.sleep(POLL_SECONDS)
            continue
        _refuse_hopeless(status, attempt_dir, resumes)
        resumes += 1
        how = status.exit.reason if status.exit else "gone without a word"
        ctx.warn(f"the trainer ended early ({how}); resuming it from its last checkpoint")
        ctx.sleep(POLL_SECONDS)
        executor.start(attempt_dir)
    progress.report()


def _refuse_hopeless(status: AttemptStatus, attempt_dir: Path, resumes: int) -> None:
    if status.exit is None:
        if resumes < MAX_RESUMES:
            return
        message = "the trainer's supervisor cannot be kept running; its last log lines are attached"
        raise TrainingFailed("trainer_crashed", message, supervisor_log(attempt_dir))
    if status.exit.reason not in _RESUMABLE or resumes >= MAX_RESUMES:
        raise training_failure(status.exit)


def _write_spec(ctx: Context, attempt_dir: Path) -> None:
    """Write the attempt's spec once; a resumed attempt keeps the one it began with."""
    path = attempt_dir / SPEC_FILE
    if path.exists():
        return
    attempt_dir.mkdir(parents=True, exist_ok=True)
    spec = _make_spec(ctx, ctx.facts(), attempt_dir)
    part = path.with_suffix(".part")
    part.write_text(spec.model_dump_json(indent=1), encoding="utf-8")
    part.replace(path)


def _make_spec(ctx: Context, facts: Facts, attempt_dir: Path) -> TrainSpec:
    tools, stream, task = ctx.tools, facts.stream, facts.task
    assert task.corpus_digest is not None
    assert task.eval_digest is not None
    below, state_dir = _lay_out_lineage(ctx, facts)
    return TrainSpec(
        job_id=ctx.job_id,
        stream=stream.name,
        task=task.name,
        base=BaseModelSpec(
            path=stream.base_path,
            source=stream.base_source,
            revision=stream.base_revision,
            digest=stream.base_digest,
        ),
        lineage=tuple(str(folder) for folder in below),
        state_dir=str(state_dir) if state_dir else None,
        method=facts.plan.method,
        method_config=facts.plan.method_config,
        hyperparameters=Hyperparameters.model_validate(facts.plan.hyperparameters),
        corpus=str(tools.blobs.path(task.corpus_digest)),
        canary_samples=str(tools.blobs.path(task.eval_digest)),
        blob_dir=str(tools.blobs.root),
        output_dir=str(attempt_dir),
        instructions={k.value: text for k, text in facts.card.instructions.items()},
    )


def _lay_out_lineage(ctx: Context, facts: Facts) -> tuple[list[Path], Path | None]:
    """Unpack the deltas below the task, oldest first, and the parent's method state."""
    folder = ctx.work_dir / "lineage"
    parent = _manifest(ctx, facts)
    if parent is None:
        return [], None
    store = ctx.tools.store
    below = [
        store.materialise_delta(version, folder / f"delta-{version.number}")
        for version in lineage_of(store, parent).effective
    ]
    return below, store.materialise_state(parent, folder / f"state-{parent.number}")


def _manifest(ctx: Context, facts: Facts) -> VersionManifest | None:
    assert facts.parent is not None, "a running job has a parent"
    if facts.parent.number == 0:
        return None
    return ctx.tools.store.get(facts.stream.name, facts.parent.number)


class TrainingProgress:
    """Reads an attempt's `events.jsonl` as it grows and tells the newest step."""

    def __init__(self, ctx: Context, path: Path) -> None:
        self._ctx = ctx
        self._path = path
        self._offset = 0
        self._steps: deque[tuple[float, int]] = deque(maxlen=60)

    def report(self) -> None:
        """Tell what is new: warnings, and the newest step."""
        events = self._new_events()
        for event in events:
            if event.get("kind") == "warning":
                self._ctx.warn_once(str(event["message"]))
        steps = [event for event in events if event.get("kind") == "step"]
        if steps:
            self._tell(steps[-1])

    def _tell(self, step: dict[str, Any]) -> None:
        if self._steps and int(step["step"]) < self._steps[-1][1]:
            self._steps.clear()  # a calibration ended, or a resume went back to a checkpoint
        self._steps.append((time.monotonic(), int(step["step"])))
        figures = ("loss", "penalty", "learning_rate", "tokens_per_second")
        left = int(step["total_steps"]) - int(step["step"])
        self._ctx.progress(
            step["step"],
            step["total_steps"],
            "steps",
            _describe(step),
            **{name: step.get(name) for name in figures},
            eta_seconds=self._eta(left),
        )

    def _eta(self, steps_left: int) -> float | None:
        (first_at, first), (last_at, last) = self._steps[0], self._steps[-1]
        if last == first:
            return None
        return round((last_at - first_at) / (last - first) * steps_left, 1)

    def _new_events(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]  # the last line may still be being written
        self._offset += len(complete)
        return [event for line in complete.splitlines() if (event := _parse(line))]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None  # torn by a kill; the resumed trainer went on behind it
    return event if isinstance(event, dict) else None


def _describe(step: dict[str, Any]) -> str:
    parts = [f"loss {step['loss']:.4f}"] if step.get("loss") is not None else []
    if step.get("penalty"):
        parts.append(f"penalty {step['penalty']:.4g}")
    return ", ".join(parts)
