"""Result folders as the training repositories lay them out, small."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Answers = Mapping[str, str]


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def questions(task: str, references: Answers) -> list[dict[str, Any]]:
    """Return annotation rows in CoIN's form."""
    return [
        {
            "question_id": key,
            "image": f"{task}/{key}.jpg",
            "text": f"What is in {task} {key}?\nAnswer the question using a single word or phrase.",
            "answer": answer,
        }
        for key, answer in references.items()
    ]


def merged(path: Path, task: str, answers: Answers) -> Path:
    """Write predictions in CoIN's form: `merge.jsonl` in a stage's folder."""
    asked = {row["question_id"]: row["text"] for row in questions(task, answers)}
    return write_lines(
        path / "merge.jsonl",
        [
            {"question_id": key, "prompt": asked[key], "text": text, "answer_id": "x",
             "model_id": "llava", "metadata": {}}
            for key, text in answers.items()
        ],
    )  # fmt: skip


RIGHT = {str(number): f"thing {number}" for number in range(10)}
"""The references of every task here: ten questions."""


def answers(wrong: int) -> dict[str, str]:
    """Return answers of which the first `wrong` are wrong."""
    return {key: "nothing" if int(key) < wrong else text for key, text in RIGHT.items()}


def annotations(root: Path, tasks: Sequence[str], name: str = "test.json") -> Path:
    """Write CoIN's annotation folder: `<task>/test.json`."""
    for task in tasks:
        write_json(root / task / name, questions(task, RIGHT))
    return root


def coin(root: Path, tasks: Sequence[str], wrong: Mapping[tuple[int, int], int]) -> Path:
    """Write CoIN's results: the own stage is `Finetune`, others are named by the later task.

    `wrong` counts wrong answers by (stage, task), both from 1; stage 0 is zero-shot.
    """
    for (stage, task), number in wrong.items():
        name = "Zero_shot" if not stage else "Finetune" if stage == task else tasks[stage - 1]
        merged(root / tasks[task - 1] / name, tasks[task - 1], answers(number))
    return root


TRIANGLE = {(1, 1): 1, (2, 1): 3, (2, 2): 2, (3, 1): 5, (3, 2): 4, (3, 3): 0}
"""Wrong answers of ten by stage and task; MFN 70, MFT 90."""
