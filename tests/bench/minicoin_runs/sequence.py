"""One rank's walk through the stages of one run: train by `trainer.run`, then ask.

    python -m tests.bench.minicoin_runs.sequence ROOT RUN      RUN is a run as JSON

Stages that are measured are skipped; one whose training is complete is only asked.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from eval.scoring import score_item, score_items
from tests.bench.minicoin_runs.cells import PLAN_FILE, Cells, StageCell, TaskScores
from tests.bench.minicoin_runs.material import Material
from tests.bench.minicoin_runs.plan import Plan, Run, seen_tasks
from trainer.catalog import declared
from trainer.distributed import barrier, prepare_process, rank
from trainer.export import DELTA, RESULT_FILE, STATE
from trainer.files import sha256_of
from trainer.spec import BaseModelSpec, TrainResult, TrainSpec

BATCH, MAX_NEW_TOKENS = 100, 32


class Sequence:
    """One run's stages on this rank."""

    def __init__(self, root: Path, plan: Plan, run: Run) -> None:
        """Prepare the data; nothing is trained yet."""
        self._plan, self._run, self._cells = plan, run, Cells(root, plan)
        own = root / "work" / run.folder / f"data-{rank()}"  # each rank writes its own
        self._material = Material(own, run.seed, plan.budget)
        self._base = base_spec(plan)
        self._method = plan.settings[run.method].method

    def walk(self) -> None:
        """Train and ask every stage that is left, then drop the deltas."""
        start = self._cells.next_stage(self._run)
        for stage in range(start, len(self._plan.stages(self._run))):
            result = self._train(stage)
            if rank() == 0 and self._cells.read(self._run, stage) is None:
                self._cells.write(self._measure(stage, result))
            _wait()
        if rank() == 0:
            shutil.rmtree(self._cells.work(self._run, 0).parent, ignore_errors=True)

    def _train(self, stage: int) -> TrainResult:
        """Train a stage unless its result is there; return the result."""
        import trainer.run
        from trainer.distributed import forget_engine
        from trainer.worker import StopRequest

        folder = self._cells.work(self._run, stage)
        if not (folder / RESULT_FILE).exists():  # what a broken-off training left is resumed
            folder.mkdir(parents=True, exist_ok=True)
            trainer.run.run(self._spec(stage), StopRequest(folder / "outcome.json"))
            _wait()
            if rank() == 0:
                shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        forget_engine()
        return TrainResult.model_validate_json((folder / RESULT_FILE).read_text(encoding="utf-8"))

    def _spec(self, stage: int) -> TrainSpec:
        plan, run = self._plan, self._run
        group = plan.stages(run)[stage]
        parent = self._cells.work(run, stage - 1) / STATE if stage else None
        return TrainSpec(
            job_id=f"{run.name}-{stage}",
            stream=run.name,
            task=group[-1],
            base=self._base,
            lineage=tuple(self._lineage(stage)),
            state_dir=str(parent) if parent else None,
            method=self._method,
            method_config=plan.config(run),
            hyperparameters=plan.budget.hyperparameters(
                plan.settings[run.method], run.seed, plan.ranks
            ),
            corpus=str(self._material.corpus(group, run.asd)),
            canary_samples=str(self._material.canary(group[-1])),
            blob_dir=str(self._material.blobs),
            output_dir=str(self._cells.work(run, stage)),
        )

    def _lineage(self, stages: int) -> list[str]:
        """Return the deltas that make up the version after that many stages."""
        found = [str(self._cells.work(self._run, at) / DELTA) for at in range(stages)]
        kind = declared(self._method, self._plan.config(self._run)).delta_kind
        return found[-1:] if kind == "replace" else found

    def _measure(self, stage: int, result: TrainResult) -> StageCell:
        started = time.monotonic()
        scores = self._ask(stage)
        return StageCell(
            fingerprint=self._plan.fingerprint(self._run),
            run=self._run,
            stage=stage,
            task=self._plan.stages(self._run)[stage][-1],
            steps=result.steps,
            loss=result.final_loss,
            penalty=result.final_penalty,
            train_seconds=result.seconds,
            eval_seconds=round(time.monotonic() - started, 1),
            scores=scores,
        )

    def _ask(self, stage: int) -> dict[str, TaskScores]:
        """Return the composed version's scores on all tasks seen, by greedy generation."""
        import torch

        from deploy.demo.tiny.answering import greedy
        from trainer.modeling import load_base, load_processor
        from trainer.rows import load_image

        model = load_base(self._base, dtype=torch.float32, lineage=self._lineage(stage + 1))
        processor = load_processor(self._base)
        found = {}
        for task in seen_tasks(self._plan, self._run, stage):
            items = self._material.items(task)
            images = [load_image(self._material.blobs, item.images[0]) for item in items]
            prompts = [item.prompt for item in items]
            said = greedy(model, processor, images, prompts, BATCH, MAX_NEW_TOKENS)
            answers = {item.digest: text for item, text in zip(items, said, strict=True)}
            found[task] = TaskScores(
                cell=score_items(items, answers).cell,
                scores=tuple(score_item(item, answers[item.digest]) for item in items),
            )
        return found


def base_spec(plan: Plan) -> BaseModelSpec:
    """Return the base: the plan's folder, or the tiny one that the demo has."""
    digest = sha256_of(plan.weights / "model.safetensors")
    return BaseModelSpec(path=str(plan.weights), source="retain-tiny", digest=digest)


def _wait() -> None:
    """Wait for the other ranks, once a training has brought them together."""
    import torch

    if torch.distributed.is_initialized():
        barrier()


def main(arguments: list[str]) -> None:
    """Walk the run named on the command line."""
    root, run = Path(arguments[0]), Run.model_validate_json(arguments[1])
    plan = Plan.model_validate_json((root / PLAN_FILE).read_text(encoding="utf-8"))
    prepare_process(plan.budget.hyperparameters(plan.settings[run.method], run.seed, plan.ranks))
    Sequence(root, plan, run).walk()


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # tearing the libraries down takes seconds
