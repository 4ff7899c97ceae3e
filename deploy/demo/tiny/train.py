"""Train `retain-tiny`: `python -m deploy.demo.tiny.train --help`."""

from __future__ import annotations

import argparse
import logging
import math
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn
from torch.utils.data import DataLoader
from transformers import Idefics3ForConditionalGeneration, Idefics3Processor

from deploy.demo.tiny import checkpoints, language, tower
from deploy.demo.tiny.mix import EARLY, random_turn
from deploy.demo.tiny.model import (
    HIDDEN,
    PHRASES,
    build_model,
    build_processor,
    export,
    load_processor,
    train_tokenizer,
)
from eval.minicoin.world import random_scene

log = logging.getLogger("retain-tiny")


def rate(step: int, steps: int, peak: float, warmup: int = 100, floor: float = 0.02) -> float:
    """Return the learning rate at a step: linear warm-up, then a cosine down to floor x peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done)))


def train_tower(
    model: Idefics3ForConditionalGeneration, folder: Path, steps: int, seed: int, progress: Progress
) -> None:
    """Teach vision tower and connector to label every cell; resumes from `folder`."""
    heads = tower.CellHeads(HIDDEN)
    modules: dict[str, nn.Module] = {
        "vision": model.model.vision_model, "connector": model.model.connector, "heads": heads
    }  # fmt: skip
    start = checkpoints.load_modules(folder, modules)
    weights = [weight for module in modules.values() for weight in module.parameters()]
    optimizer = torch.optim.AdamW(weights, 2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    checkpoints.load_optimizers(folder, [optimizer])
    bar = progress.add_task("vision tower", total=steps, completed=start)
    for step in range(start, steps):
        optimizer.param_groups[0]["lr"] = rate(step, steps, 2e-3)
        images, labels = tower.batch(seed, step, 64)
        loss, right = tower.loss_and_accuracy(heads, tower.cell_tokens(model, images), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        progress.advance(bar)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            log.info("tower %d loss %.2f %s", step + 1, loss.item(),
                     " ".join(f"{name}={share:.2f}" for name, share in right.items()))  # fmt: skip
        if (step + 1) % 250 == 0 or step + 1 == steps:
            checkpoints.save(folder, modules, [optimizer], step + 1)


def tokenizer_texts(number: int = 20_000) -> Iterator[str]:
    """Yield texts of the mix without glyph words and fixed phrases, to train the tokenizer on."""
    rng = Random("tokenizer")
    fixed = re.compile("|".join(re.escape(phrase) for phrase in PHRASES))
    for _ in range(number):
        turn = random_turn(rng, random_scene(rng), EARLY)
        text = fixed.sub("", f"{turn.prompt}\n {turn.answer}")
        yield re.sub(r"[A-Z]{3}", "", text)


def _processor(folder: Path) -> Idefics3Processor:
    """Return the run's processor; its tokenizer is trained once, since ids must not move."""
    if not folder.exists():
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        build_processor(train_tokenizer(tokenizer_texts())).save_pretrained(fresh)
        fresh.rename(folder)
    return load_processor(folder)


def _optimizers(model: Idefics3ForConditionalGeneration) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for embeddings, norms and the connector."""
    layers = model.model.text_model.layers
    matrices = [weight for weight in layers.parameters() if weight.ndim == 2]
    vectors = [weight for weight in layers.parameters() if weight.ndim < 2]
    rest = [
        *vectors,
        *model.model.text_model.norm.parameters(),
        *model.model.text_model.embed_tokens.parameters(),
    ]
    connector = list(model.model.connector.parameters())  # its 2,048 inputs add up: go slowly
    groups: list[dict[str, Any]] = [{"params": rest}, {"params": connector, "share": 0.1}]
    return [
        torch.optim.Muon(matrices, 1.0, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _even_out(model: Idefics3ForConditionalGeneration, rms: float = 0.5) -> None:
    """Scale the connector so that image tokens are about as long as word embeddings get."""
    scenes = [random_scene(Random(seed)) for seed in range(32)]
    with torch.no_grad():
        size = tower.cell_tokens(model, tower.pixels(scenes)).square().mean().sqrt()
        for weight in model.model.connector.parameters():
            weight.mul_(rms / size)


def _advance(
    model: Idefics3ForConditionalGeneration,
    optimizers: list[torch.optim.Optimizer],
    step: language.Step,
    number: int,
    args: argparse.Namespace,
) -> tuple[float, float]:
    """Take one optimizer step; return its loss and the share of turns that were right."""
    for optimizer, peak in zip(optimizers, (args.muon_rate, args.adam_rate), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * rate(number - 1, args.steps, peak)
        optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
        loss, share = language.step_loss(model, step)
    torch.autograd.backward(loss)
    weights = [it for optimizer in optimizers for group in optimizer.param_groups
               for it in group["params"]]  # fmt: skip
    nn.utils.clip_grad_norm_(weights, 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return loss.item(), share


def train_language(
    model: Idefics3ForConditionalGeneration,
    processor: Idefics3Processor,
    args: argparse.Namespace,
    progress: Progress,
) -> None:
    """Teach the language model the mix; resumes from, and exports to, the given folders."""
    folder = args.work / "language"
    modules: dict[str, nn.Module] = {
        "text": model.model.text_model, "connector": model.model.connector
    }  # fmt: skip
    model.model.text_model.set_attn_implementation("eager")  # twice as fast at this size
    start = checkpoints.load_modules(folder, modules)
    if not start:
        _even_out(model)
    optimizers = _optimizers(model)
    checkpoints.load_optimizers(folder, optimizers)
    steps = language.Steps(processor.tokenizer, args.seed, start, args.steps)
    bar = progress.add_task("language model", total=args.steps, completed=start)
    began, seen = time.monotonic(), list[tuple[float, float]]()
    for number, step in enumerate(DataLoader(steps, batch_size=None, num_workers=1), start + 1):
        seen.append(_advance(model, optimizers, step, number, args))
        progress.advance(bar)
        if number % 50 == 0:
            loss, right = (sum(values) / len(seen) for values in zip(*seen, strict=True))
            log.info("language %d loss %.3f right %.3f, %.2f s a step", number, loss, right,
                     (time.monotonic() - began) / len(seen))  # fmt: skip
            began, seen = time.monotonic(), []
        if number % 200 == 0 or number == args.steps:
            checkpoints.save(folder, modules, optimizers, number)
            export(model, processor, args.out)
            log.info("exported to %s", args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.tiny.train",
        description="Train retain-tiny. Run it again with the same options to resume.",
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tower-steps", type=int, default=2400)
    parser.add_argument("--steps", type=int, default=4200, help="steps of the language stage")
    parser.add_argument("--muon-rate", type=float, default=2e-3, help="peak rate, matrices")
    parser.add_argument("--adam-rate", type=float, default=1e-3, help="peak rate, the rest")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True,
                        help="autocast to bfloat16 (faster where the CPU knows it)")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    """Run both stages and export the model."""
    args = _arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    processor = _processor(args.work / "processor")
    model = build_model(processor.tokenizer)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        train_tower(model, args.work / "tower", args.tower_steps, args.seed, progress)
        train_language(model, processor, args, progress)


if __name__ == "__main__":
    main()
