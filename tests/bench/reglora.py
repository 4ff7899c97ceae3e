"""`make bench-reglora`: what RegLoRA's regulariser costs, against the published way of forming it.

The published way is written anew from its description: per matrix and micro-batch a dense B A,
formed again where a checkpointed layer is recomputed, indexed by two int64 per listed entry.
Both run in one process on the same weights and places, in turns; figures are medians.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

import deploy.demo.tiny
from tests.trainer.dense_penalty import checkpointed_listed_mean, dense_mean, gradients
from tests.trainer.tiny import colour_samples
from trainer.data import Collator, Corpus
from trainer.loop import answer_loss, trained_parameters
from trainer.methods.base import MethodState, lora_matrices
from trainer.methods.configs import RegLoRAConfig
from trainer.methods.protected import Places, kernel_for, mean_at_protected
from trainer.methods.reglora import RegLoRA
from trainer.modeling import load_base, load_processor
from trainer.rows import RowEncoder
from trainer.spec import BaseModelSpec

ACCUMULATION = 8
TINY_BATCH, TINY_RANK, TINY_ROUNDS = 48, 16, 25
LAYER_RANK, LAYER_ROUNDS = 128, 3
LAYER_TOKENS = {"cpu": (1, 64), "cuda": (16, 640)}
"""Rows and tokens of a micro-batch."""
LAMBDA, DIVISOR, SHARE = 2500.0, 224, 0.02
console = Console(stderr=True)
Lists = dict[str, Tensor]


def main() -> int:
    """Measure everything and print the figures."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    figures = {**_tiny(), **_layer(torch.device("cpu")), "added_step_pct_7b": None}
    if device.type == "cuda":
        on_gpu = _layer(device)
        figures["added_step_pct_7b"] = on_gpu["added_step_pct"]
        console.print(f"on the GPU: {on_gpu}")
    figures.pop("added_step_pct")
    figures["device"] = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    console.print(f"peak resident memory {peak_gb:.1f} GB")
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


@dataclass(frozen=True)
class Workload:
    """A model with adapters and places to protect, and what its task loss is."""

    method: RegLoRA
    model: nn.Module
    lists: Lists
    task_loss: Callable[[nn.Module], Tensor]
    optimizer: torch.optim.Optimizer

    @staticmethod
    def of(base: nn.Module, rank: int, lists: Lists, loss: Callable[[Any], Tensor]) -> Workload:
        """Return the base with random adapters; the lists are the places of earlier tasks."""
        method = RegLoRA(RegLoRAConfig(rank=rank, alpha=2.0 * rank, coefficient=LAMBDA))
        model = method.prepare(base, _state(base, lists))
        torch.manual_seed(1)
        for matrix in lora_matrices(model):
            nn.init.normal_(matrix.b, std=0.02)
        optimizer = torch.optim.AdamW(trained_parameters(model), lr=0.0)
        return Workload(method, model.train(), lists, loss, optimizer)

    def ours(self) -> Tensor:
        """Return our penalty."""
        penalty = self.method.penalty(self.model)
        assert penalty is not None
        return penalty

    def published(self) -> Tensor:
        """Return the published penalty."""
        means = [
            checkpointed_listed_mean(it.a, it.b, self.lists[it.module])
            for it in lora_matrices(self.model)
        ]
        return LAMBDA * torch.stack(means).sum() / DIVISOR

    def step(self, penalty: Callable[[], Tensor] | None, *, accumulation: int, every: bool) -> None:
        """Take one optimizer step; the penalty joins each micro-batch or only the last."""
        for micro_batch in range(accumulation):
            loss = self.task_loss(self.model) / accumulation
            if penalty is not None and (every or micro_batch == accumulation - 1):
                loss = loss + penalty() / (accumulation if every else 1)
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def regularise(self, penalty: Callable[[], Tensor]) -> None:
        """Do the regulariser's work alone, once: value and gradients."""
        penalty().backward()
        self.optimizer.zero_grad()


def _tiny() -> dict[str, Any]:
    """Return how much longer a step of the tiny base takes, in percent: the demo's batch."""
    folder = str(Path(deploy.demo.tiny.__path__[0]) / "weights")
    spec = BaseModelSpec(path=folder, source="retain-tiny", digest="0")
    base = load_base(spec, dtype=torch.float32)
    with tempfile.TemporaryDirectory(prefix="retain-bench-") as blobs:
        encoder = RowEncoder(load_processor(spec), blob_dir=Path(blobs), max_length=256)
        rows = Corpus(colour_samples(Path(blobs), TINY_BATCH, turns=2), encoder)
        batch = Collator(0)([rows[index] for index in range(TINY_BATCH)])
    labels = batch.pop("labels")

    def loss(model: nn.Module) -> Tensor:
        return answer_loss(model(**batch, use_cache=False).logits, labels) / len(labels)

    work = Workload.of(base, TINY_RANK, _draw(base, tasks=1), loss)
    added = _added_percent(work, 1, TINY_ROUNDS, "tiny")
    _added_percent(work, ACCUMULATION, 2, "tiny")
    return {"added_step_pct_tiny": added}


def _layer(device: torch.device) -> dict[str, Any]:
    """Return the figures of one LLaVA-1.5-7B decoder layer with 1 and 7 past tasks."""
    base = _decoder_layer(device)
    rows, tokens = LAYER_TOKENS[device.type]
    ids = torch.randint(64, (rows, tokens), device=device)

    def loss(model: nn.Module) -> Tensor:
        return answer_loss(model(input_ids=ids, use_cache=False).logits, ids) / ids.numel()

    figures: dict[str, Any] = {}
    for tasks in (1, 7):
        work = Workload.of(base, LAYER_RANK, _draw(base, tasks), loss)
        label = f"7b layer on {device.type}, {tasks} past"
        alone = _alone_times(work, label)
        figures[f"speedup_vs_published_7b_{tasks}task{'s' * (tasks > 1)}"] = _ratio(alone)
        figures[f"state_bits_per_entry_{tasks}task{'s' * (tasks > 1)}"] = _carried_bits(work)
        if tasks == 1:
            figures["speedup_accum8_7b_1task"] = _accumulated(work, label)
            figures["added_step_pct"] = _added_percent(work, 1, LAYER_ROUNDS, label)
            figures["rel_err_grad_fp32"] = _gradient_error(work)
        base = work.model.unload()  # type: ignore[operator]
    return figures


def _decoder_layer(device: torch.device) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=1,
        num_attention_heads=32,
    )
    torch.manual_seed(0)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    model: nn.Module = LlamaForCausalLM(config).to(device, dtype)
    return model.requires_grad_(False)


def _draw(base: Any, tasks: int) -> Lists:
    """Return 2 % of each matrix per task, drawn evenly: the least overlap, the worst for a union.

    The entries of a task are in no order, as a top-k returns them.
    """
    generator = torch.Generator().manual_seed(tasks)
    decoder, lists = base.get_decoder(), {}
    for name, module in base.named_modules():
        if isinstance(module, nn.Linear) and any(module is it for it in decoder.modules()):
            drawn = [_drawn(module.weight.shape, generator) for _ in range(tasks)]
            lists[name] = torch.cat(drawn).to(module.weight.device)
    return lists


def _drawn(shape: torch.Size, generator: torch.Generator) -> Tensor:
    count = int(SHARE * shape.numel())
    more = torch.randint(shape.numel(), (int(1.05 * count) + 64,), generator=generator).unique()
    flat = more[torch.randperm(len(more), generator=generator)[:count]]
    return torch.stack((flat // shape[1], flat % shape[1]), dim=1)


def _state(base: nn.Module, lists: Lists) -> MethodState:
    """Return the lists' union as the state that a parent version would have left."""
    tensors = {}
    for name, places in lists.items():
        mask = torch.zeros(base.get_submodule(name).weight.shape, dtype=torch.bool)  # type: ignore[arg-type]
        mask[places[:, 0].cpu(), places[:, 1].cpu()] = True
        tensors[name] = Places.none(*mask.shape).joined(mask).deflated()
    stored, entries = sum(it.numel() for it in tensors.values()), _entries(base, lists)
    console.print(f"  state file: {8 * stored / entries:.3f} bits per entry")
    return MethodState(tensors, {"tasks": 1, "multiplicity": "union", "compression": "zlib"})


def _entries(base: nn.Module, lists: Lists) -> int:
    return sum(base.get_submodule(name).weight.numel() for name in lists)  # type: ignore[operator,misc]


def _carried_bits(work: Workload) -> float:
    places = work.method.places.values()
    entries = sum(it.shape[0] * it.shape[1] for it in places)
    return 8 * sum(it.planes.nbytes for it in places) / entries


def _alone_times(work: Workload, label: str) -> dict[str, float]:
    listing = _seconds(lambda: work.regularise(work.ours))  # lists the places, once
    console.print(f"{label}: first penalty {listing:.2f} s, places listed in it")
    forms = {
        "published": lambda: work.regularise(work.published),
        "ours": lambda: work.regularise(work.ours),
    }
    times = _medians(_rounds(forms, LAYER_ROUNDS, {"ours": 3}))
    _tell(f"{label}, regulariser alone", times)
    return times


def _accumulated(work: Workload, label: str) -> float:
    """Return the ratio of a step's work over the accumulated micro-batches, ours done once."""
    published, ours = 0.0, []
    for _ in range(ACCUMULATION):
        published += _seconds(lambda: work.regularise(work.published))
        ours.append(_seconds(lambda: work.regularise(work.ours)))
    times = {"published": published, "ours": statistics.median(ours)}
    _tell(f"{label}, regulariser alone, accumulation {ACCUMULATION}", times)
    return _ratio(times)


def _added_percent(work: Workload, accumulation: int, rounds: int, label: str) -> float:
    """Return how much longer a whole step takes with our penalty: the median of the differences
    within a round over the median plain step."""
    forms = {
        "plain": lambda: work.step(None, accumulation=accumulation, every=False),
        "ours": lambda: work.step(work.ours, accumulation=accumulation, every=False),
        "published": lambda: work.step(work.published, accumulation=accumulation, every=True),
    }
    forms["plain"]()
    times = _rounds(forms, rounds)
    _tell(f"{label}, whole step, accumulation {accumulation}", _medians(times))
    added = [ours - plain for ours, plain in zip(times["ours"], times["plain"], strict=True)]
    return round(100 * statistics.median(added) / statistics.median(times["plain"]), 2)


def _gradient_error(work: Workload) -> float:
    """Return ||g - g'|| / ||g'|| of both gradients of one matrix, g' dense and in fp64."""
    matrix = next(lora_matrices(work.model))
    a, b = (it.detach().float().requires_grad_() for it in (matrix.a, matrix.b))
    places = work.method.places[matrix.module].moved_to(a.device)
    value = mean_at_protected(a, b, kernel_for(places, a), float(places.total()))
    found = gradients(value, a, b)
    counts = places.weights(0, places.shape[0], torch.float64)
    wanted = gradients(dense_mean(a.double(), b.double(), counts), a, b)
    norms = [
        (x.double() - y.double()).norm() / y.double().norm()
        for x, y in zip(found, wanted, strict=True)
    ]
    return float(max(norms))


def _rounds(
    forms: dict[str, Callable[[], None]], rounds: int, repeats: dict[str, int] | None = None
) -> dict[str, list[float]]:
    """Return the seconds of each form, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, form in forms.items():
            times[name] += [_seconds(form) for _ in range((repeats or {}).get(name, 1))]
    return times


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in times.items()}


def _seconds(form: Callable[[], None]) -> float:
    _finish_device_work()
    started = time.perf_counter()
    form()
    _finish_device_work()
    return time.perf_counter() - started


def _finish_device_work() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _ratio(times: dict[str, float]) -> float:
    return round(times["published"] / times["ours"], 2)


def _tell(label: str, times: dict[str, float]) -> None:
    shown = ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in times.items())
    console.print(f"{label}: {shown}")


if __name__ == "__main__":
    if os.environ.get("OMP_WAIT_POLICY") != "PASSIVE":  # threads wait as in a supervised rank
        command = [sys.executable, "-W", "ignore", "-m", "tests.bench.reglora"]
        os.execve(sys.executable, command, {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    raise SystemExit(main())
