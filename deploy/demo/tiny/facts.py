"""Facts of a drawn scene: questions with their short answers, before any answer format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from eval.minicoin.world import (
    COLOURS,
    PLACES,
    SHAPES,
    Scene,
    Shape,
    Word,
    bounding_box,
    format_box,
    random_shape,
    random_word,
)

PLAIN_WORDS = (
    "unanswerable", "yes", "no", "nothing", "blurred", "sharp", "word", "shape", "title",
    "author", "publisher", "genre", "family", "edible", "material", "flavour", "name", "class",
    "made", "means", "cover", "reference", "token", "exit", "open", "closed", "danger", "stop",
    "parking", "shop", "water", "wood", "glass", "metal", "stone", "sweet", "sour", "salty",
    "bitter",
)  # fmt: skip
"""Words to repeat: those that answers or questions of later tasks may use."""
COUNTS = ("0", "1", "2", "3", "4")


@dataclass(frozen=True)
class Fact:
    """A question about a scene.

    `kind` names the question type (a row of the model card); `choices` are the answers such a
    question can have (open word questions: words to choose wrong ones from); `claims` are natural
    yes/no wordings, each with `{}` for the candidate answer.
    """

    kind: str
    question: str
    answer: str
    choices: tuple[str, ...]
    claims: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None


def _word_choices(rng: Random, scene: Scene) -> tuple[str, ...]:
    shown = [word.text for _, word in scene.words()]
    made = [random_word(rng) for _ in range(4)]
    if shown:
        near = list(rng.choice(shown))
        near[rng.randrange(3)] = random_word(rng)[0]
        made.append("".join(near))
    return tuple(dict.fromkeys(shown + made))


def _at_place(rng: Random, scene: Scene) -> Fact | None:
    at = rng.randrange(4)
    content, place = scene.cells[at], PLACES[at]
    if isinstance(content, Shape):
        if rng.random() < 0.5:
            return Fact("shape at place", f"What shape is at the {place}?", content.shape, SHAPES,
                        (f"Is the shape at the {place} a {{}}?",))  # fmt: skip
        asked = rng.choice((f"What colour is the shape at the {place}?",
                            f"What is the colour of the shape at the {place}?"))  # fmt: skip
        return Fact("colour at place", asked, content.colour, tuple(COLOURS),
                    (f"Is the shape at the {place} {{}}?",))  # fmt: skip
    if isinstance(content, Word):
        asked = rng.choice((f"What does the word at the {place} say?",
                            f"What is written at the {place}?"))  # fmt: skip
        return Fact("read word", asked, content.text, _word_choices(rng, scene),
                    (f"Does the word at the {place} say {{}}?",))  # fmt: skip
    return None


def _what_at(rng: Random, scene: Scene) -> Fact | None:
    at = rng.randrange(4)
    content = scene.cells[at]
    kinds = ("shape", "word", "nothing")
    answer = "nothing" if content is None else type(content).__name__.lower()
    return Fact("thing at place", f"What kind of thing is at the {PLACES[at]}?", answer, kinds)


def _only(values: Sequence[str], value: str) -> bool:
    return sum(other == value for other in values) == 1


def _one_shape(rng: Random, scene: Scene) -> Fact | None:
    shapes = scene.shapes()
    if not shapes:
        return None
    _, it = rng.choice(shapes)
    if rng.random() < 0.5:
        if not _only([other.shape for _, other in shapes], it.shape):
            return None
        asked = rng.choice((f"What colour is the {it.shape}?",
                            f"What is the colour of the {it.shape}?"))  # fmt: skip
        return Fact("colour of shape", asked, it.colour, tuple(COLOURS),
                    (f"Is the {it.shape} {{}}?",))  # fmt: skip
    if not _only([other.colour for _, other in shapes], it.colour):
        return None
    asked = rng.choice((f"What shape is {it.colour}?", f"Which shape is {it.colour}?"))
    return Fact("shape of colour", asked, it.shape, SHAPES,
                (f"Is the {it.colour} shape a {{}}?",))  # fmt: skip


def _names(scene: Scene) -> dict[str, list[int]]:
    names: dict[str, list[int]] = {}
    for at, it in scene.shapes():
        for name in (it.shape, f"{it.colour} shape", f"{it.colour} {it.shape}"):
            names.setdefault(name, []).append(at)
    for at, word in scene.words():
        for name in ("word", f"word {word.text}"):
            names.setdefault(name, []).append(at)
    return names


def _where(rng: Random, scene: Scene) -> Fact | None:
    name, cells = rng.choice(list(_names(scene).items()))
    if len(cells) > 1:
        return None
    return Fact("place", f"Where is the {name}?", PLACES[cells[0]], PLACES,
                (f"Is the {name} at the {{}}?",))  # fmt: skip


def _any_box(rng: Random) -> str:
    return format_box(bounding_box(rng.randrange(4), random_shape(rng)))


def _box(rng: Random, scene: Scene) -> Fact | None:
    if not scene.shapes():
        return None
    at, it = rng.choice(scene.shapes())
    name = rng.choice((it.shape, f"{it.colour} shape", f"{it.colour} {it.shape}",
                       f"shape at the {PLACES[at]}"))  # fmt: skip
    if len(_names(scene).get(name, [at])) > 1:
        return None
    box = bounding_box(at, it)
    choices = tuple(_any_box(rng) for _ in range(5))
    return Fact("box", f"Where is the {name}?", format_box(box), choices, (), box)


def _count(rng: Random, scene: Scene) -> Fact:
    counted = {"shape": len(scene.shapes()), "word": len(scene.words())}
    for name in (*SHAPES, *(f"{colour} shape" for colour in COLOURS)):
        counted[name] = len(_names(scene).get(name, []))
    present = [name for name, number in counted.items() if number]
    name = rng.choice(present) if rng.random() < 0.75 else rng.choice(list(counted))
    return Fact("count", f"How many {name}s are there?", str(counted[name]), COUNTS)


def _exists(rng: Random, scene: Scene) -> Fact:
    names = _names(scene)
    if rng.random() < 0.5:
        name = rng.choice(list(names))
    else:
        made = random_word(rng)
        name = rng.choice((rng.choice(SHAPES), f"{rng.choice(list(COLOURS))} shape", "word",
                           f"{rng.choice(list(COLOURS))} {rng.choice(SHAPES)}",
                           f"word {made}"))  # fmt: skip
    answer = "yes" if name in names else "no"
    return Fact("existence", f"Is there a {name}?", answer, ("yes", "no"))


def _blur(rng: Random, scene: Scene) -> Fact:
    answer = "blurred" if scene.blurred else "sharp"
    return Fact("blur", "Is the picture blurred or sharp?", answer, ("blurred", "sharp"),
                ("Is the picture {}?",))  # fmt: skip


def _sign(rng: Random, scene: Scene) -> Fact | None:
    if len(scene.words()) != 1:
        return None
    return Fact("read word", "What does the sign say?", scene.words()[0][1].text,
                _word_choices(rng, scene), ("Does the sign say {}?",))  # fmt: skip


def echo_value(rng: Random) -> str:
    """Return something to repeat: three letters, a box, or a word that answers may use."""
    drawn = rng.random()
    if drawn < 0.55:
        return random_word(rng)
    if drawn < 0.62:
        return _any_box(rng)
    return rng.choice((*COLOURS, *SHAPES, *PLACES, *COUNTS, *PLAIN_WORDS))


def _echo(rng: Random, scene: Scene) -> Fact:
    answer = echo_value(rng)
    others = tuple(echo_value(rng) for _ in range(5))
    wording = rng.choice(('Repeat "{}".', "Which answer says {}?", 'What is the text in "{}"?'))
    return Fact("echo", wording.format(answer), answer, (answer, *others))


Maker = Callable[[Random, Scene], Fact | None]
MAKERS: tuple[tuple[Maker, float], ...] = (
    (_at_place, 3.0), (_what_at, 0.6), (_one_shape, 2.4), (_where, 2.4), (_box, 1.6),
    (_count, 1.0), (_exists, 1.2), (_blur, 0.8), (_sign, 0.8), (_echo, 1.6),
)  # fmt: skip


def random_fact(rng: Random, scene: Scene, echo: float = 1.0) -> Fact:
    """Return a fact of the scene; `echo` scales the share of repeat-this questions."""
    weights = [share * (echo if maker is _echo else 1.0) for maker, share in MAKERS]
    while True:
        ((maker, _),) = rng.choices(MAKERS, weights)
        fact = maker(rng, scene)
        if fact is not None:
            return fact
