"""Walk specs, one after the other, in one process group or in forked processes that are killed.

    conformance_worker.py walk SPEC...     under torchrun: run each spec, probed
    conformance_worker.py kill SPEC...     alone: for each spec a process that dies after step
                                           KILL_STEP, and another one that resumes it (a method
                                           that calibrates: another one that dies, and a third)

Beside the attempt's own files a walk leaves `probe.json` (names of frozen parameters that moved,
how many there are, bytes of tensors alive at the end) and, below ZeRO-3, `probe.safetensors` (the
trained model's logits).
`KILL_IN=calibration` kills during the calibration.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

import trainer.run
from tests.trainer.conformance import PROBED_ROWS, logits_of
from trainer.distributed import forget_engine, gathered, rank
from trainer.methods.base import build_method
from trainer.progress import Progress
from trainer.spec import TrainSpec, read_spec
from trainer.stopping import StopRequest

KILL_STEP = 3


def run_probed(spec: TrainSpec) -> None:
    """Run a spec; check what is frozen and keep the trained model's logits."""
    original = trainer.run.train
    probe: dict[str, Any] = {}

    def train(model: nn.Module, method: Any, corpus: Any, collator: Any, **options: Any) -> Any:
        frozen = {key: it for key, it in model.named_parameters() if not it.requires_grad}
        before = {key: it.detach().clone() for key, it in frozen.items()}
        trained = original(model, method, corpus, collator, **options)
        with gathered(frozen.values()):
            moved = [key for key, it in frozen.items() if not torch.equal(it, before[key])]
        if rank() == 0:
            probe.update(moved=moved, frozen=len(frozen))
            if spec.hyperparameters.zero_stage == 2:
                batch = collator([corpus[index] for index in range(PROBED_ROWS)])
                found = {"logits": logits_of(model, batch)}
                save_file(found, Path(spec.output_dir) / "probe.safetensors")
        return trained

    trainer.run.train = train
    try:
        forget_engine()
        trainer.run.run(spec, _stop(spec))
    finally:
        trainer.run.train = original
    probe["alive_bytes"] = _alive_bytes()
    if rank() == 0:
        (Path(spec.output_dir) / "probe.json").write_text(json.dumps(probe))


def _alive_bytes() -> int:
    gc.unfreeze()
    gc.collect()
    return sum(it.nbytes for it in gc.get_objects() if type(it) in (torch.Tensor, nn.Parameter))


def _stop(spec: TrainSpec) -> StopRequest:
    folder = Path(spec.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return StopRequest(folder / "outcome.json")


def die_after(step: int, place: str) -> None:
    """Have this process killed after that optimizer step, in `calibration` or `training`."""
    original = Progress.on_step_end

    def on_step_end(self: Progress, args: Any, state: Any, control: Any, **others: Any) -> None:
        original(self, args, state, control, **others)
        calibrating = Path(args.output_dir).name == "calibration"
        if state.global_step == step and calibrating == (place == "calibration"):
            os.kill(os.getpid(), signal.SIGKILL)

    Progress.on_step_end = on_step_end  # type: ignore[method-assign]


def in_a_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process; return its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        os.environ["MASTER_PORT"] = str(_free_port())
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def kill_and_resume(spec: TrainSpec, place: str) -> None:
    """Run a spec in a process that dies, then in one that resumes it."""

    def dying(step: int) -> None:
        die_after(step, place)
        trainer.run.run(spec, _stop(spec))

    twice = place == "training" and build_method(spec.method, spec.method_config).calibration(
        spec.hyperparameters
    )
    for step in (KILL_STEP, KILL_STEP + 1) if twice else (KILL_STEP,):
        status = in_a_child(partial(dying, step))
        assert os.WIFSIGNALED(status), f"{spec.output_dir} was not killed: {status}"
        assert not (Path(spec.output_dir) / "result.json").exists()
    status = in_a_child(lambda: trainer.run.run(spec, _stop(spec)))
    assert status == 0, f"{spec.output_dir} did not resume: {status}"


def warm_up(spec: TrainSpec) -> None:
    """Import here, once, what every child would import for itself."""
    import deepspeed  # noqa: F401
    import peft  # noqa: F401
    from transformers.integrations import deepspeed as integration  # noqa: F401

    from trainer.distributed import prepare_process
    from trainer.modeling import load_base, load_processor

    prepare_process(spec.hyperparameters)
    load_processor(spec.base)
    load_base(spec.base, dtype=torch.float32)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(mode: str, specs: list[TrainSpec]) -> None:
    if mode == "walk":
        for spec in specs:
            run_probed(spec)
        return
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1")
    warm_up(specs[0])
    for spec in specs:
        kill_and_resume(spec, os.environ.get("KILL_IN", "training"))


if __name__ == "__main__":
    main(sys.argv[1], [read_spec(Path(path)) for path in sys.argv[2:]])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # tearing the libraries down takes seconds
