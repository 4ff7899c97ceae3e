"""Minicoin tasks as folders and archives: task card, LLaVA rows, pictures."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from random import Random
from typing import Any

from asd_rewriter.formats import with_instruction
from eval.minicoin.tasks import TASKS, Item, Task
from eval.minicoin.world import Scene, draw

LICENCE = "CC0-1.0"
_MOST_MISSES = 200
SPLITS = {"train": "train.json", "eval": "eval.json"}


def task_named(name: str) -> Task:
    """Return a task by name; ValueError names the known ones."""
    if name not in TASKS:
        raise ValueError(f"no minicoin task {name!r}; there are: {', '.join(TASKS)}")
    return TASKS[name]


def card_of(task: Task) -> dict[str, Any]:
    """Return the task card as the service takes it."""
    return {
        "name": task.name,
        "answer_format": task.answer_format.value,
        "metric": task.metric,
        "labels": list(task.labels) if task.labels else None,
        "description": f"{task.description} Modelled on {task.like}.",
        "licence": LICENCE,
        "splits": SPLITS,
    }


def make_items(
    name: str, seed: int, num_train: int = 2000, num_eval: int = 200
) -> dict[str, list[Item]]:
    """Return the items of both splits, a function of name, seed and the two counts.

    No two items show the same content, so no evaluation picture equals a training picture.
    Raises ValueError when the task cannot show that many different contents.
    """
    task, seen = task_named(name), set[Scene]()
    numbers = {"eval": num_eval, "train": num_train}
    return {
        split: _fresh_items(task, Random(f"minicoin {name} {split} {seed}"), number, seen)
        for split, number in numbers.items()
    }


def _fresh_items(task: Task, rng: Random, number: int, seen: set[Scene]) -> list[Item]:
    items: list[Item] = []
    misses = 0
    while len(items) < number:
        item = task.make(rng)
        content = Scene(item.scene.cells, item.scene.blurred)
        misses = misses + 1 if content in seen else 0
        if misses > _MOST_MISSES:
            raise ValueError(f"{task.name} has fewer than {number} pictures that differ")
        if not misses:
            seen.add(content)
            items.append(item)
    return items


def row_of(task: Task, split: str, number: int, item: Item) -> dict[str, Any]:
    """Return an item as one LLaVA row, the instruction line appended."""
    asked = with_instruction(item.question, task.answer_format)
    name = f"{task.name}-{split}-{number:05d}"
    return {
        "id": name,
        "image": f"images/{name}.png",
        "conversations": [
            {"from": "human", "value": f"<image>\n{asked}"},
            {"from": "gpt", "value": item.answer},
        ],
    }


def write_task(
    name: str, out_dir: Path, seed: int = 0, num_train: int = 2000, num_eval: int = 200
) -> Path:
    """Write card.json, train.json, eval.json and images/ into `out_dir / name`; return it.

    Raises ValueError for an unknown name, FileExistsError when the folder is there already.
    """
    task = task_named(name)
    folder = out_dir / name
    (folder / "images").mkdir(parents=True)
    for split, items in make_items(name, seed, num_train, num_eval).items():
        rows = [row_of(task, split, number, item) for number, item in enumerate(items)]
        for row, item in zip(rows, items, strict=True):
            draw(item.scene).save(folder / row["image"])
        (folder / SPLITS[split]).write_text(json.dumps(rows, indent=1) + "\n")
    (folder / "card.json").write_text(json.dumps(card_of(task), indent=2) + "\n")
    return folder


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def archive_task(
    name: str, out_dir: Path, seed: int = 0, num_train: int = 2000, num_eval: int = 200
) -> Path:
    """Write the task's folder and, beside it, `NAME.tar.gz` with the folder's content.

    Returns the archive's path; raises what `write_task` raises.
    """
    folder = write_task(name, out_dir, seed, num_train, num_eval)
    path = out_dir / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.add(file, file.relative_to(folder).as_posix(), filter=_anonymous)
    return path
