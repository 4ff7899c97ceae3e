"""The drawn world: 64x64 px pictures of a 2x2 grid with shapes, printed words, and blur.

A `Scene` says what is in the picture; `draw` paints it. Both are deterministic: equal scenes
give equal pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from eval.minicoin.glyphs import BITMAPS, LETTERS, PATCH

SIDE = 64
"""Side of a picture in pixels."""
CELL = 32
"""Side of one grid cell in pixels."""
RASTER = 4
"""Shape edges lie on multiples of this many pixels."""
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 30, 34),
    "orange": (243, 132, 16),
    "yellow": (232, 205, 20),
    "pink": (245, 130, 190),
    "green": (26, 148, 50),
    "blue": (30, 64, 208),
    "purple": (122, 36, 160),
    "cyan": (40, 190, 205),
}
PLACES = ("top left", "top right", "bottom left", "bottom right")
VOWELS = "AEIOU"
CONSONANTS = "".join(letter for letter in LETTERS if letter not in VOWELS)
BLUR_RADIUS = 1.4
_SUPERSAMPLING = 8


@dataclass(frozen=True)
class Shape:
    """One coloured shape in a cell.

    `size`, `left` and `top` count raster steps of 4 px inside the cell: size 4 to 7, left and
    top 0 to 8 - size.
    """

    shape: str
    colour: str
    size: int
    left: int
    top: int


@dataclass(frozen=True)
class Word:
    """Three printed upper-case letters; `row` 0 to 3 counts 8-px patches from the cell's top."""

    text: str
    row: int


Content = Shape | Word | None


@dataclass(frozen=True)
class Scene:
    """What a picture shows: four cells in the order of `PLACES`, blur, and the noise's seed."""

    cells: tuple[Content, Content, Content, Content]
    blurred: bool = False
    seed: int = 0

    def shapes(self) -> list[tuple[int, Shape]]:
        """Return the shapes with the index of their cell."""
        return [(at, it) for at, it in enumerate(self.cells) if isinstance(it, Shape)]

    def words(self) -> list[tuple[int, Word]]:
        """Return the printed words with the index of their cell."""
        return [(at, it) for at, it in enumerate(self.cells) if isinstance(it, Word)]


def bounding_box(cell: int, shape: Shape) -> tuple[float, float, float, float]:
    """Return a shape's box (x1, y1, x2, y2) as fractions of the picture's side, 0 to 1."""
    left = cell % 2 * CELL + shape.left * RASTER
    top = cell // 2 * CELL + shape.top * RASTER
    side = shape.size * RASTER
    return left / SIDE, top / SIDE, (left + side) / SIDE, (top + side) / SIDE


def format_box(box: tuple[float, float, float, float]) -> str:
    """Return a box as `[0.06, 0.12, 0.38, 0.44]`, two decimals."""
    return "[" + ", ".join(f"{value:.2f}" for value in box) + "]"


def random_word(rng: Random) -> str:
    """Return three upper-case letters, in one of three cases consonant, vowel, consonant."""
    if rng.random() < 1 / 3:
        return rng.choice(CONSONANTS) + rng.choice(VOWELS) + rng.choice(CONSONANTS)
    return "".join(rng.choice(LETTERS) for _ in range(3))


def random_shape(rng: Random, shape: str | None = None, colour: str | None = None) -> Shape:
    """Return a shape of random size and position; kind and colour too unless given."""
    size = rng.randint(4, 7)
    return Shape(
        shape=shape or rng.choice(SHAPES),
        colour=colour or rng.choice(tuple(COLOURS)),
        size=size,
        left=rng.randint(0, 8 - size),
        top=rng.randint(0, 8 - size),
    )


def print_word(rng: Random, text: str | None = None) -> Word:
    """Return a word (random unless given) at a random height inside its cell."""
    return Word(text or random_word(rng), rng.randint(0, 3))


def random_scene(rng: Random, word_share: float = 0.3, blur_share: float = 0.25) -> Scene:
    """Return a scene of one to four filled cells.

    `word_share` is the chance that a filled cell holds a word, `blur_share` that of blur.
    """
    filled = rng.sample(range(4), rng.choice((1, 2, 3, 3, 4, 4, 4)))
    cells: list[Content] = [None] * 4
    for cell in filled:
        cells[cell] = print_word(rng) if rng.random() < word_share else random_shape(rng)
    return scene_of(cells, rng.random() < blur_share, rng.getrandbits(32))


def scene_of(cells: list[Content], blurred: bool = False, seed: int = 0) -> Scene:
    """Return the scene of exactly four cells (ValueError otherwise)."""
    first, second, third, fourth = cells
    return Scene((first, second, third, fourth), blurred, seed)


def _outline(shape: str) -> list[tuple[float, float]]:
    """Corners of a shape that touches all four sides of the unit square."""
    if shape == "triangle":
        return [(0.5, 0), (1, 1), (0, 1)]
    if shape == "diamond":
        return [(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)]
    if shape == "cross":
        inner = (0.32, 0.68)
        a, b = inner
        return [(a, 0), (b, 0), (b, a), (1, a), (1, b), (b, b),
                (b, 1), (a, 1), (a, b), (0, b), (0, a), (a, a)]  # fmt: skip
    radii = (1.0, 0.42)
    turns = [np.pi * step / 5 for step in range(10)]
    points = [(radii[i % 2] * np.sin(t), -radii[i % 2] * np.cos(t)) for i, t in enumerate(turns)]
    low = np.min(points, axis=0)
    span = np.max(points, axis=0) - low
    return [(float((x - low[0]) / span[0]), float((y - low[1]) / span[1])) for x, y in points]


@cache
def _mask(shape: str, size: int) -> NDArray[np.float32]:
    """Coverage 0 to 1 of a shape of `size` raster steps, anti-aliased; (pixels, pixels, 1)."""
    pixels = size * RASTER
    big = pixels * _SUPERSAMPLING
    canvas = Image.new("L", (big, big), 0)
    pen = ImageDraw.Draw(canvas)
    if shape == "circle":
        pen.ellipse((0, 0, big - 1, big - 1), fill=255)
    elif shape == "square":
        pen.rectangle((0, 0, big, big), fill=255)
    else:
        pen.polygon([(x * (big - 1), y * (big - 1)) for x, y in _outline(shape)], fill=255)
    small = canvas.resize((pixels, pixels), Image.Resampling.BOX)
    return np.asarray(small, np.float32)[:, :, None] / np.float32(255)


def _paint_word(pixels: NDArray[np.float32], cell: int, word: Word) -> None:
    top = cell // 2 * CELL + word.row * PATCH
    left = cell % 2 * CELL
    for index, letter in enumerate(word.text):
        ink = BITMAPS[letter][:, :, None]
        x = left + index * PATCH
        patch = pixels[top : top + PATCH, x : x + PATCH]
        patch[:] = patch * (1 - ink) + 35 * ink


def _paint_shape(
    pixels: NDArray[np.float32], cell: int, shape: Shape, rng: np.random.Generator
) -> None:
    mask = _mask(shape.shape, shape.size)
    top = cell // 2 * CELL + shape.top * RASTER
    left = cell % 2 * CELL + shape.left * RASTER
    colour = np.asarray(COLOURS[shape.colour], np.float32) + rng.uniform(-10, 10, 3)
    patch = pixels[top : top + len(mask), left : left + len(mask)]
    patch[:] = patch * (1 - mask) + colour * mask


def draw(scene: Scene) -> Image.Image:
    """Paint the scene: RGB, 64x64 px."""
    rng = np.random.default_rng(scene.seed)
    tint = rng.uniform(222, 250) + rng.uniform(-5, 5, 3)
    pixels = np.empty((SIDE, SIDE, 3), np.float32)
    pixels[:] = tint
    for cell, content in enumerate(scene.cells):
        if isinstance(content, Shape):
            _paint_shape(pixels, cell, content, rng)
        elif isinstance(content, Word):
            _paint_word(pixels, cell, content)
    pixels += rng.standard_normal((SIDE, SIDE, 1), np.float32) * 4
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(BLUR_RADIUS)) if scene.blurred else image
