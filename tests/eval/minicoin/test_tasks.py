"""Minicoin's tasks: deterministic, disjoint, in the style their cards announce."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import INSTRUCTIONS
from eval.minicoin.tasks import TASKS
from eval.minicoin.world import draw
from eval.minicoin.writing import archive_task, card_of, make_items, write_task

NAMES = tuple(TASKS)


def test_the_order_is_coins() -> None:
    assert [task.like for task in TASKS.values()] == [
        "ScienceQA", "TextVQA", "ImageNet", "GQA", "VizWiz", "Grounding", "VQAv2", "OCR-VQA",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_items_depend_on_the_seed_alone(name: str) -> None:
    once, again = (make_items(name, 3, 30, 10) for _ in range(2))
    assert once == again
    assert make_items(name, 4, 30, 10) != once


@pytest.mark.parametrize("name", NAMES)
def test_no_evaluation_picture_is_a_training_picture(name: str) -> None:
    items = make_items(name, 0, 60, 30)
    pictures = {
        split: {draw(item.scene).tobytes() for item in rows} for split, rows in items.items()
    }
    assert not pictures["train"] & pictures["eval"]
    contents = [item.scene.cells for rows in items.values() for item in rows]
    if name != "blurry":
        assert len(set(contents)) == 90


@pytest.mark.parametrize("name", NAMES)
def test_the_majority_answer_is_not_above_the_stated_chance(name: str) -> None:
    answers = Counter(item.answer for item in make_items(name, 0, 1500, 1)["train"])
    assert answers.most_common(1)[0][1] / 1500 <= TASKS[name].chance + 0.03


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_valid_and_its_labels_cover_the_answers(name: str) -> None:
    card = TaskCard.model_validate(card_of(TASKS[name]))
    answers = {item.answer for item in make_items(name, 1, 400, 20)["train"]}
    if card.labels:
        assert answers == set(card.labels)


@pytest.mark.parametrize("name", NAMES)
def test_written_rows_are_llava_rows_with_their_pictures(name: str, tmp_path: Path) -> None:
    folder = write_task(name, tmp_path, seed=0, num_train=4, num_eval=2)
    rows = json.loads((folder / "train.json").read_text())
    assert [row["id"] for row in rows] == [f"{name}-train-{number:05d}" for number in range(4)]
    for row in rows:
        asked, answer = (turn["value"] for turn in row["conversations"])
        assert asked.startswith("<image>\n")
        assert asked.endswith("\n" + INSTRUCTIONS[TASKS[name].answer_format])
        assert answer
        with Image.open(folder / row["image"]) as image:
            assert image.size == (64, 64)


def test_an_archive_holds_the_folder(tmp_path: Path) -> None:
    path = archive_task("signs", tmp_path, num_train=3, num_eval=2)
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert {"card.json", "train.json", "eval.json"} <= set(names)
    assert sum(name.startswith("images/") for name in names) == 5


def test_an_unknown_task_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'mystery'; there are: science"):
        write_task("mystery", tmp_path)


def test_asking_for_more_items_than_there_are_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="classes has fewer"):
        make_items("classes", 0, 20_000, 10)
