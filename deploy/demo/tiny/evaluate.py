"""Measure `retain-tiny` on fresh questions: `python -m deploy.demo.tiny.evaluate --help`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from rich.console import Console
from rich.progress import track

from asd_rewriter.formats import ASD_FORMATS, AnswerFormat
from deploy.demo.tiny.answering import Share, greedy, is_right
from deploy.demo.tiny.facts import Fact, random_fact
from deploy.demo.tiny.mix import CLOSED, Turn, ask
from deploy.demo.tiny.model import load
from eval.minicoin.world import Scene, draw, random_scene

FORMATS = (*ASD_FORMATS, AnswerFormat.BOX)
Table = dict[tuple[str, str], Share]


@dataclass(frozen=True)
class Question:
    """A scene, the question about it, and the short answer that explanations wrap."""

    scene: Scene
    turn: Turn
    short: str


def _fits(answer_format: AnswerFormat, fact: Fact) -> bool:
    if answer_format is AnswerFormat.BOX:
        return fact.box is not None
    return fact.box is None or answer_format in CLOSED


def held_out(answer_format: AnswerFormat, seed: int, number: int) -> list[Question]:
    """Return questions of one format about scenes drawn with a seed that training does not use.

    Scenes and questions come from the distribution that training draws from; nothing excludes one
    that training happened to draw too.
    """
    rng = Random(f"evaluate {seed} {answer_format.value}")
    questions: list[Question] = []
    while len(questions) < number:
        scene = random_scene(rng)
        fact = random_fact(rng, scene)
        if _fits(answer_format, fact):
            questions.append(Question(scene, ask(rng, fact, answer_format), fact.answer))
    return questions


def measure(folder: Path, seed: int, number: int) -> Table:
    """Return shares of right answers by (format, question type); type "all" sums a format."""
    model, processor = load(folder)
    counts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for form in track(FORMATS, "formats", console=Console(stderr=True)):
        asked = held_out(form, seed, number)
        images = [draw(question.scene) for question in asked]
        said = greedy(model, processor, images, [question.turn.prompt for question in asked])
        for question, answer in zip(asked, said, strict=True):
            right = is_right(form, answer, question.turn.answer, question.short)
            counts[form.value, "all"].append(right)
            counts[form.value, question.turn.kind].append(right)
    return {key: Share(sum(rights), len(rights)) for key, rights in counts.items()}


def markdown(table: Table) -> str:
    """Return the table as Markdown: a row per question type, a column per format."""
    kinds = ["all", *sorted({kind for _, kind in table if kind != "all"})]
    lines = ["| question type | " + " | ".join(form.value for form in FORMATS) + " |",
             "|---" * (len(FORMATS) + 1) + "|"]  # fmt: skip
    for kind in kinds:
        cells = [kind]
        for form in FORMATS:
            share = table.get((form.value, kind))
            cells.append("" if share is None else _cell(share))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(share: Share) -> str:
    low, high = share.interval
    return f"{100 * share.value:.1f} [{100 * low:.0f}, {100 * high:.0f}] n={share.total}"


def main() -> None:
    """Print the table to stderr and one JSON object of plain numbers to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.tiny.evaluate",
        description="Measure retain-tiny by greedy generation on fresh questions.",
    )
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, default=400, help="questions per answer format")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    torch.set_num_threads(args.threads)
    table = measure(args.folder, args.seed, args.number)
    sys.stderr.write(markdown(table) + "\n")
    totals = {form: share.value for (form, kind), share in table.items() if kind == "all"}
    sys.stdout.write(json.dumps(totals) + "\n")


if __name__ == "__main__":
    main()
