"""The drawn world: what a scene says is what the picture shows, the same every time."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from eval.minicoin.glyphs import BITMAPS, LETTERS
from eval.minicoin.world import (
    CELL,
    COLOURS,
    SHAPES,
    Shape,
    Word,
    bounding_box,
    draw,
    format_box,
    random_scene,
    random_shape,
    scene_of,
)


def test_equal_scenes_give_equal_pixels() -> None:
    first = [draw(random_scene(Random(7))).tobytes() for _ in range(2)]
    assert first[0] == first[1]
    assert draw(random_scene(Random(8))).tobytes() != first[0]


def test_letters_have_distinct_bitmaps() -> None:
    assert len(LETTERS) == 26
    assert len({bitmap.tobytes() for bitmap in BITMAPS.values()}) == 26


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [4, 7])
def test_a_shape_fills_its_bounding_box_and_nothing_else(shape: str, size: int) -> None:
    it = Shape(shape, "blue", size, left=8 - size, top=0)
    pixels = np.asarray(draw(scene_of([None, None, None, it]))).astype(int)
    inked = pixels[:, :, 0] < 150
    rows, columns = inked.any(1).nonzero()[0], inked.any(0).nonzero()[0]
    x1, y1, x2, y2 = (64 * edge for edge in bounding_box(3, it))
    assert rows.min() >= y1
    assert rows.max() < y2
    assert columns.min() >= x1
    assert columns.max() < x2
    assert rows.max() - rows.min() >= y2 - y1 - 4


@pytest.mark.parametrize("colour", COLOURS)
def test_a_shape_has_its_colour(colour: str) -> None:
    pixels = np.asarray(draw(scene_of([random_shape(Random(1), "square", colour), *[None] * 3])))
    distances = np.abs(pixels.astype(int) - COLOURS[colour]).max(2)
    assert (distances < 30).sum() > 200


def test_a_word_is_printed_one_letter_per_patch() -> None:
    pixels = np.asarray(draw(scene_of([None, Word("MIP", row=2), None, None])))
    for index, letter in enumerate("MIP"):
        patch = pixels[16:24, CELL + 8 * index : CELL + 8 * index + 8, 0]
        assert ((patch < 128) == (BITMAPS[letter] > 0)).all()


def test_blur_softens_the_whole_picture() -> None:
    cells = [random_shape(Random(3)), None, None, None]
    sharp, blurred = (np.asarray(draw(scene_of(cells, flag, 5)), float) for flag in (False, True))
    assert np.abs(np.diff(blurred, axis=1)).mean() < 0.5 * np.abs(np.diff(sharp, axis=1)).mean()


def test_boxes_are_written_with_two_decimals() -> None:
    assert format_box((0.0625, 0.125, 0.375, 1.0)) == "[0.06, 0.12, 0.38, 1.00]"
