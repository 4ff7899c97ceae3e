"""Runs for the conformance suite: which methods and settings, and how they are launched."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.trainer.attempts import ROOT
from tests.trainer.small import small_config
from tests.trainer.tiny import make_spec
from trainer.catalog import METHODS, declared
from trainer.spec import BaseModelSpec, TrainSpec

ROWS, ROWS_PER_MICRO_BATCH = 20, 4
HYPER = {
    "epochs": 2.0,
    "learning_rate": 1e-2,
    "gradient_accumulation": 2,
    "checkpoint_every_steps": 2,
}
"""Five micro-batches an epoch, so that each epoch ends with a short window: six steps."""
PROBED_ROWS = 4
"""Rows that a trained model is asked about."""
LAUNCHES = [(2, 1), (3, 1), (2, 2), (3, 2)]
"""ZeRO stage and ranks; the first trains both tasks, the others the second on its first."""


@dataclass(frozen=True)
class Variant:
    """A method with settings that the suite trains."""

    name: str
    method: str
    config: dict[str, Any]
    hyperparameters: dict[str, Any] = field(default_factory=dict)


def variants() -> list[Variant]:
    """Return every method of the catalog, and settings that make another thing of it.

    Replay, an option of all methods, rides along with one of them; its budget takes all rows, so
    that no last batch is short: ranks would fill theirs up with rows from the start.
    """
    found = [Variant(name, name, small_config(name)) for name in METHODS]
    continued = {**small_config("lora"), "carry_over": "continue"}
    published = {"preset": "published", "rank": 4, "alpha": 8.0}
    found.append(Variant("reglora-published", "reglora", published))
    return [*found, Variant("lora-continue", "lora", continued, {"replay_bytes": 10**6})]


VARIANTS = {variant.name: variant for variant in variants()}


def spec_of(
    variant: Variant,
    root: Path,
    base: BaseModelSpec,
    *,
    stage: int = 2,
    ranks: int = 1,
    parent: Path | None = None,
    **more: Any,
) -> TrainSpec:
    """Write and return the spec of a variant's first task, or of the second on `parent`;
    `more` are hyper-parameters."""
    below: dict[str, Any] = {}
    if parent is not None:
        below = {"lineage": (f"{parent}/delta",), "state_dir": f"{parent}/state"}
    hyper = {**HYPER, **variant.hyperparameters, "ranks": ranks, "zero_stage": stage, **more}
    hyper["batch_size"] = ROWS_PER_MICRO_BATCH // ranks
    root.mkdir(parents=True, exist_ok=True)
    return make_spec(
        root,
        base,
        name=f"{variant.name}-{2 if parent else 1}",
        rows=ROWS,
        text_rows=False,
        blobs=(parent.parent if parent else root) / "blobs",  # replayed rows show the first's
        seed=1 if parent else 0,
        method=variant.method,
        method_config=variant.config,
        hyperparameters=hyper,
        **below,
    )


def effective(variant: Variant, first: TrainSpec, second: TrainSpec) -> list[str]:
    """Return the deltas that make up the second version, by the declared delta kind."""
    own = [f"{second.output_dir}/delta"]
    replaced = declared(variant.method, variant.config).delta_kind == "replace"
    return own if replaced else [f"{first.output_dir}/delta", *own]


def logits_of(model: Any, batch: Any) -> Any:
    """Return a model's logits for a batch, in eval mode."""
    import torch

    inputs = {key: value for key, value in batch.items() if key != "labels"}
    with torch.no_grad():
        return model.eval()(**inputs).logits


def launch(mode: str, specs: list[TrainSpec], ranks: int = 1, **environment: str) -> None:
    """Run the worker over specs; raises AssertionError with its last words."""
    command = [sys.executable]
    if mode == "walk":
        command += ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
        command += [f"--nproc-per-node={ranks}"]
    command += ["-m", "tests.trainer.conformance_worker", mode]
    command += [f"{spec.output_dir}.json" for spec in specs]
    quiet = {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TORCHDYNAMO_DISABLE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "GLOO_SOCKET_IFNAME": "lo",
        "DS_ACCELERATOR": "cpu",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **quiet, **environment},
        capture_output=True,
        text=True,
        timeout=570,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("Loading")]
    assert done.returncode == 0, "\n".join(said)[-12000:]
