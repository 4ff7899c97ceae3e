"""Check minicoin on `retain-tiny`: `python -m deploy.demo.tiny.acceptance --help`.

Per task: what the base knows (zero-shot), what a LoRA on that task alone learns, and what one
LoRA that is trained on the tasks one after another forgets (BWT).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from transformers import Idefics3ForConditionalGeneration, Idefics3Processor

from asd_rewriter.formats import with_instruction
from deploy.demo.tiny import language, tower
from deploy.demo.tiny.answering import greedy, is_right
from deploy.demo.tiny.mix import Turn
from deploy.demo.tiny.model import load
from eval.minicoin.tasks import TASKS, Item, Task
from eval.minicoin.world import draw
from eval.minicoin.writing import make_items

log = logging.getLogger("acceptance")
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Recipe:
    """How a LoRA is trained: optimizer steps, rows per step, peak rate, rank.

    The rate warms up over a tenth of the steps; without that, tasks that take two steps of
    thought (compose) are learned slowly or not at all.
    """

    steps: int = 300
    rows: int = 48
    rate: float = 2e-3
    rank: int = 16


def add_lora(model: Idefics3ForConditionalGeneration, rank: int, seed: int) -> list[nn.Parameter]:
    """Put a fresh LoRA on every linear layer of the language model; return its weights."""
    torch.manual_seed(seed)
    model.model.text_model.set_attn_implementation("eager")  # twice as fast at this size
    names = "|".join(LINEARS)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=rf".*text_model.*({names})")
    get_peft_model(cast(Any, model), config)
    return [weight for weight in model.parameters() if weight.requires_grad]


def _turns(task: Task, items: Sequence[Item]) -> list[Turn]:
    form = task.answer_format
    return [
        Turn(task.name, form, with_instruction(item.question, form), item.answer) for item in items
    ]


def _image_tokens(model: Idefics3ForConditionalGeneration, items: Sequence[Item]) -> Tensor:
    with torch.no_grad():
        parts = [
            tower.cell_tokens(model, tower.pixels([item.scene for item in items[at : at + 100]]))
            for at in range(0, len(items), 100)
        ]
    return torch.cat(parts)


def train(
    model: Idefics3ForConditionalGeneration,
    processor: Idefics3Processor,
    weights: list[nn.Parameter],
    task: Task,
    items: Sequence[Item],
    recipe: Recipe,
    seed: int,
) -> None:
    """Train the LoRA weights on a task's items: AdamW, one-cycle rate, loss on answers, bf16."""
    tokens, turns = _image_tokens(model, items), _turns(task, items)
    optimizer = torch.optim.AdamW(weights, recipe.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, recipe.steps, pct_start=0.1
    )
    rng, order = Random(f"acceptance {seed}"), list[int]()
    for _ in range(recipe.steps):
        if len(order) < recipe.rows:
            order += rng.sample(range(len(turns)), len(turns))
        chosen, order = order[: recipe.rows], order[recipe.rows :]
        (group,) = language.encode(processor.tokenizer, [(at, turns[at]) for at in chosen], 1)
        with torch.autocast("cpu", torch.bfloat16):
            logits, wanted, _ = language.answer_logits(model, tokens, group)
        loss = nn.functional.cross_entropy(logits.float(), wanted)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()


def accuracy(
    model: Idefics3ForConditionalGeneration,
    processor: Idefics3Processor,
    task: Task,
    items: Sequence[Item],
) -> float:
    """Return the percentage of items that greedy generation answers right."""
    prompts = [turn.prompt for turn in _turns(task, items)]
    said = greedy(model, processor, [draw(item.scene) for item in items], prompts)
    pairs = zip(said, items, strict=True)
    right = [is_right(task.answer_format, answer, item.answer) for answer, item in pairs]
    return 100 * sum(right) / len(right)


def alone(folder: Path, names: Sequence[str], recipe: Recipe, seed: int, number: int,
          progress: Progress) -> dict[str, dict[str, float]]:  # fmt: skip
    """Return per task the accuracy before and after a LoRA on that task alone."""
    results = {}
    for name in progress.track(names, description=f"alone, seed {seed}"):
        (model, processor), task = load(folder), TASKS[name]
        items = make_items(name, seed, num_eval=number)
        before = accuracy(model, processor, task, items["eval"])
        began = time.monotonic()
        weights = add_lora(model, recipe.rank, seed)
        train(model, processor, weights, task, items["train"], recipe, seed)
        took = time.monotonic() - began
        after = accuracy(model, processor, task, items["eval"])
        results[name] = {"zero_shot": before, "alone": after, "chance": 100 * task.chance,
                         "seconds": took}  # fmt: skip
        log.info("%s seed %d: %s", name, seed, results[name])
    return results


def in_sequence(folder: Path, names: Sequence[str], recipe: Recipe, seed: int, number: int,
                progress: Progress) -> dict[str, Any]:  # fmt: skip
    """Return the accuracy matrix of one LoRA trained on the tasks in order, and its BWT."""
    model, processor = load(folder)
    weights = add_lora(model, recipe.rank, seed)
    items = {name: make_items(name, seed, num_eval=number) for name in names}
    matrix: list[list[float]] = []
    for name in progress.track(names, description=f"in sequence, seed {seed}"):
        train(model, processor, weights, TASKS[name], items[name]["train"], recipe, seed)
        seen = names[: len(matrix) + 1]
        matrix.append([accuracy(model, processor, TASKS[old], items[old]["eval"]) for old in seen])
        log.info("in sequence, seed %d, after %s: %s", seed, name, matrix[-1])
    drops = [matrix[-1][at] - matrix[at][at] for at in range(len(names) - 1)]
    return {"tasks": list(names), "matrix": matrix, "bwt": sum(drops) / len(drops)}


def main() -> None:
    """Print one JSON object with every number to stdout; progress to stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.tiny.acceptance", description="Check minicoin on retain-tiny."
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent / "weights",
                        help="model folder (default: the weights in the repository)")  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--sequence", nargs="*", choices=list(TASKS),
                        default=["classes", "compose", "grounding", "covers"])  # fmt: skip
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--number", type=int, default=200, help="evaluation items per task")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    torch.set_num_threads(args.threads)
    recipe, console = Recipe(steps=args.steps), Console(stderr=True)
    report: dict[str, Any] = {"alone": {}, "sequence": {}}
    with Progress(console=console, disable=not console.is_terminal) as progress:
        for seed in args.seeds:
            report["alone"][seed] = alone(
                args.folder, args.tasks, recipe, seed, args.number, progress
            )
            if args.sequence:
                report["sequence"][seed] = in_sequence(
                    args.folder, args.sequence, recipe, seed, args.number, progress
                )
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
