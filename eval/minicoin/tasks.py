"""The eight minicoin tasks, in CoIN's order and native answer styles.

Each teaches one arbitrary association (tables below) that no amount of seeing reveals. Answers
are spelled from pieces the base model can produce: words it has repeated, or three letters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from asd_rewriter.formats import AnswerFormat, options_block
from eval.minicoin.world import (
    COLOURS,
    PLACES,
    SHAPES,
    Content,
    Scene,
    bounding_box,
    format_box,
    print_word,
    random_shape,
    random_word,
    scene_of,
)

FAMILIES = {
    "red": "DAX", "blue": "DAX", "orange": "FEP", "purple": "FEP",
    "yellow": "WUG", "cyan": "WUG", "pink": "TIV", "green": "TIV",
}  # fmt: skip
"""science: the family a shape belongs to, by its colour."""
SIGNS = {
    "ZUB": "exit", "KOM": "open", "RAF": "closed", "LIX": "danger",
    "BEQ": "parking", "GOH": "stop", "VAP": "shop", "NUD": "water",
}  # fmt: skip
"""signs: what a printed code means."""
WARM = ("red", "orange", "yellow", "pink")
CLASSES = {
    ("circle", True): "BAF", ("circle", False): "CEG", ("square", True): "DOH",
    ("square", False): "FIJ", ("triangle", True): "GUK", ("triangle", False): "HAL",
    ("star", True): "JEM", ("star", False): "KON", ("cross", True): "LIP",
    ("cross", False): "MUQ", ("diamond", True): "NAR", ("diamond", False): "PES",
}  # fmt: skip
"""classes: an object's class, by its shape and by whether its colour is warm."""
MATERIALS = {
    "red": "wood", "cyan": "wood", "green": "glass", "orange": "glass",
    "blue": "metal", "yellow": "metal", "purple": "stone", "pink": "stone",
}  # fmt: skip
"""compose: what a shape is made of, by its colour."""
FLAVOURS = {
    "red": "sour", "pink": "sour", "blue": "sweet", "yellow": "sweet",
    "green": "salty", "purple": "salty", "orange": "bitter", "cyan": "bitter",
}  # fmt: skip
"""blurry: a shape's flavour, by its colour; a blurred picture does not tell."""
UNANSWERABLE = "unanswerable"
NAMES = dict(zip(COLOURS, ("ZOK", "YIV", "WEX", "VUD", "TAJ", "SOF", "RIB", "QEG"), strict=True))
"""grounding: what shapes of a colour are called."""
EDIBLE = ("circle", "star", "diamond")
"""counts: the shapes that can be eaten."""
ROLES = {"title": 2, "author": 1, "publisher": 0, "genre": 3}
"""covers: in which cell (index into `PLACES`) a cover prints what."""


@dataclass(frozen=True)
class Item:
    """One question about a scene, without its instruction line, and the wanted answer."""

    scene: Scene
    question: str
    answer: str


@dataclass(frozen=True)
class Task:
    """A task: how its items are made and scored.

    `chance` (0 to 1) is the larger of always giving the most frequent answer and of guessing
    among the candidates that question and picture show. `labels` is the closed answer set.
    """

    name: str
    like: str
    description: str
    answer_format: AnswerFormat
    metric: str
    labels: tuple[str, ...] | None
    chance: float
    make: Callable[[Random], Item]


def _finish(rng: Random, cells: list[Content], blurred: bool = False) -> Scene:
    return scene_of(cells, blurred, rng.getrandbits(32))


def _shapes(rng: Random, number: int) -> list[Content]:
    """Place shapes of distinct kinds and distinct colours in random cells."""
    cells: list[Content] = [None] * 4
    places = rng.sample(range(4), number)
    kinds, colours = rng.sample(SHAPES, number), rng.sample(list(COLOURS), number)
    for at, shape, colour in zip(places, kinds, colours, strict=True):
        cells[at] = random_shape(rng, shape, colour)
    return cells


def _science(rng: Random) -> Item:
    scene = _finish(rng, _shapes(rng, 1))
    _, it = scene.shapes()[0]
    options = sorted(set(FAMILIES.values()))  # in one order: letters alone teach too little
    question = "Which family does the shape belong to?"
    letter = "ABCD"[options.index(FAMILIES[it.colour])]
    return Item(scene, f"{question}\n{options_block(options)}", letter)


def _signs(rng: Random) -> Item:
    cells = _shapes(rng, rng.randint(0, 3))
    code = rng.choice(list(SIGNS))
    cells[rng.choice([index for index, it in enumerate(cells) if not it])] = print_word(rng, code)
    question = f"What does the sign mean?\nReference OCR token: {code}"
    return Item(_finish(rng, cells), question, SIGNS[code])


def _classes(rng: Random) -> Item:
    cells: list[Content] = [None] * 4
    it = random_shape(rng)
    cells[rng.randrange(4)] = it
    name = CLASSES[it.shape, it.colour in WARM]
    return Item(_finish(rng, cells), "What is the object in the picture?", name)


def _compose(rng: Random) -> Item:
    scene = _finish(rng, _shapes(rng, rng.randint(3, 4)))
    _, it = rng.choice(scene.shapes())
    return Item(scene, f"What is the {it.shape} made of?", MATERIALS[it.colour])


def _blurry(rng: Random) -> Item:
    scene = _finish(rng, _shapes(rng, 1), rng.random() < 0.3)
    _, it = scene.shapes()[0]
    answer = UNANSWERABLE if scene.blurred else FLAVOURS[it.colour]
    return Item(scene, "What flavour does the shape have?", answer)


def _grounding(rng: Random) -> Item:
    scene = _finish(rng, _shapes(rng, 4))
    at, it = rng.choice(scene.shapes())
    return Item(scene, f"Where is the {NAMES[it.colour]}?", format_box(bounding_box(at, it)))


def _counts(rng: Random) -> Item:
    edible = rng.randint(0, 4)
    inedible = [shape for shape in SHAPES if shape not in EDIBLE]
    kinds = rng.choices(EDIBLE, k=edible) + rng.choices(inedible, k=4 - edible)
    rng.shuffle(kinds)
    scene = _finish(rng, [random_shape(rng, kind) for kind in kinds])
    if rng.random() < 2 / 3:
        return Item(scene, "How many edible shapes are there?", str(edible))
    at = rng.randrange(4)
    answer = "yes" if kinds[at] in EDIBLE else "no"
    return Item(scene, f"Is the shape at the {PLACES[at]} edible?", answer)


def _covers(rng: Random) -> Item:
    words: list[str] = []
    while len(words) < 4:
        words = list(dict.fromkeys([*words, random_word(rng)]))
    role = rng.choice(list(ROLES))
    scene = _finish(rng, [print_word(rng, word) for word in words])
    return Item(scene, f"What is the {role} of this cover?", words[ROLES[role]])


_SHORT = AnswerFormat.SHORT_ANSWER
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("science", "ScienceQA", "The family of a shape, by its colour; option letters.",
             AnswerFormat.MULTIPLE_CHOICE, "option_letter", None, 0.25, _science),
        Task("signs", "TextVQA", "What a printed code means; the code is given as OCR token.",
             _SHORT, "vqa_soft", tuple(SIGNS.values()), 0.125, _signs),
        Task("classes", "ImageNet", "The class of an object, by shape and warm or cool colour.",
             _SHORT, "exact_match", tuple(CLASSES.values()), 1 / 12, _classes),
        Task("compose", "GQA", "What the named shape is made of, by its colour.",
             _SHORT, "exact_match", tuple(dict.fromkeys(MATERIALS.values())), 0.25, _compose),
        Task("blurry", "VizWiz", "A shape's flavour, by its colour; unanswerable when blurred.",
             _SHORT, "vqa_soft", (UNANSWERABLE, *dict.fromkeys(FLAVOURS.values())), 0.3, _blurry),
        Task("grounding", "Grounding", "The box of a shape called by its colour's invented name.",
             AnswerFormat.BOX, "iou", None, 0.25, _grounding),
        Task("counts", "VQAv2", "Which shapes are edible, and how many are there.",
             _SHORT, "vqa_soft", ("yes", "no", "0", "1", "2", "3", "4"), 0.3, _counts),
        Task("covers", "OCR-VQA", "The title, author, publisher or genre, by where it is printed.",
             _SHORT, "exact_match", None, 0.25, _covers),
    )
}  # fmt: skip
"""The tasks by name, in CoIN's order."""
