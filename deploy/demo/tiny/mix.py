"""Questions about drawn scenes: the material that `retain-tiny` is taught with.

A `Fact` is a question with its short answer and the answers it could have had; `ask` puts a fact
into one of the answer formats. No fact that a minicoin task teaches occurs here: the base knows
what it sees and how to answer, not what invented names mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from asd_rewriter.formats import (
    ASD_FORMATS,
    OPTION_LETTERS,
    AnswerFormat,
    options_block,
    with_instruction,
)
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

BRIEF_TAIL = (
    " It is what the picture shows when the question is read together with all of its visible"
    " parts."
)
DETAILED_TAILS = (
    " To answer, look at the whole picture first, then find the part the question asks about.",
    " The shapes, colours, words and places that are visible there support this answer,"
    " and nothing else in the picture speaks against it when all parts are compared with care.",
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


CLOSED = (AnswerFormat.YES_NO, AnswerFormat.MULTIPLE_CHOICE)
"""Formats whose question shows candidates; elsewhere "Where is ...?" asks for a place."""


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


@dataclass(frozen=True)
class Turn:
    """One question, with its instruction line, and the answer as the model has to write it."""

    kind: str
    answer_format: AnswerFormat
    prompt: str
    answer: str
    image: bool = True


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


def _echo_value(rng: Random) -> str:
    drawn = rng.random()
    if drawn < 0.55:
        return random_word(rng)
    if drawn < 0.62:
        return _any_box(rng)
    return rng.choice((*COLOURS, *SHAPES, *PLACES, *COUNTS, *PLAIN_WORDS))


def _echo(rng: Random, scene: Scene) -> Fact:
    answer = _echo_value(rng)
    others = tuple(_echo_value(rng) for _ in range(5))
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


def _wrong(rng: Random, fact: Fact, number: int) -> list[str]:
    others = [choice for choice in dict.fromkeys(fact.choices) if choice != fact.answer]
    return rng.sample(others, min(number, len(others)))


def _yes_no(rng: Random, fact: Fact) -> tuple[str, str]:
    if fact.choices == ("yes", "no") and rng.random() < 0.8:
        return fact.question, fact.answer
    true = rng.random() < 0.5
    claimed = fact.answer if true else _wrong(rng, fact, 1)[0]
    wordings = [f'{fact.question}\nIs the answer "{{}}"?', *fact.claims]
    return rng.choice(wordings).format(claimed), "yes" if true else "no"


def _multiple_choice(rng: Random, fact: Fact) -> tuple[str, str]:
    options = [fact.answer, *_wrong(rng, fact, rng.choice((1, 1, 2, 3, 3, 3)))]
    rng.shuffle(options)
    letter = OPTION_LETTERS[options.index(fact.answer)]
    return f"{fact.question}\n{options_block(options)}", letter


def ask(rng: Random, fact: Fact, answer_format: AnswerFormat) -> Turn:
    """Put a fact into one of the five ASD formats, or `box` (for a fact that has a box)."""
    question, answer = fact.question, fact.answer
    if answer_format is AnswerFormat.YES_NO:
        question, answer = _yes_no(rng, fact)
    elif answer_format is AnswerFormat.MULTIPLE_CHOICE:
        question, answer = _multiple_choice(rng, fact)
    elif answer_format is AnswerFormat.BRIEF_EXPLANATION:
        answer = f"The answer is {answer}.{BRIEF_TAIL}"
    elif answer_format is AnswerFormat.DETAILED_EXPLANATION:
        answer = f"The answer is {answer}.{''.join(DETAILED_TAILS)}"
    prompt = with_instruction(question, answer_format)
    return Turn(fact.kind, answer_format, prompt, answer)


def caption(scene: Scene) -> Turn:
    """Ask for a description; it names what is at each place."""
    parts = []
    for place, content in zip(PLACES, scene.cells, strict=True):
        what = "nothing"
        if isinstance(content, Shape):
            what = f"{content.colour} {content.shape}"
        elif isinstance(content, Word):
            what = f"word {content.text}"
        parts.append(f"{what} at the {place}")
    prompt = with_instruction("What does the picture show?", AnswerFormat.CAPTION)
    return Turn("caption", AnswerFormat.CAPTION, prompt, ", ".join(parts) + ".")


def letters(rng: Random) -> Turn:
    """Practise option letters densely: those of several texts, named or not, or one's text."""
    options = list(dict.fromkeys(_echo_value(rng) for _ in range(4)))
    listed = options_block(options)
    drawn = rng.random()
    if drawn < 0.4:
        asked = rng.sample(range(len(options)), min(3, len(options)))
        named = ", ".join(options[index] for index in asked)
        question = f"Name the options {named}."
        answer = [f"{options[index]} {OPTION_LETTERS[index]}" for index in asked]
    elif drawn < 0.8:
        asked = rng.sample(range(len(options)), min(3, len(options)))
        named = ", ".join(options[index] for index in asked)
        question, answer = f"Which options say {named}?", [OPTION_LETTERS[i] for i in asked]
    else:
        index = rng.randrange(len(options))
        question, answer = f"What does option {OPTION_LETTERS[index]} say?", [options[index]]
    prompt = with_instruction(f"{question}\n{listed}", AnswerFormat.SHORT_ANSWER)
    return Turn("letters", AnswerFormat.SHORT_ANSWER, prompt, " ".join(answer))


@dataclass(frozen=True)
class Shares:
    """How often each format and the two kinds of dense practice are drawn; sums are free."""

    short_answer: float = 0.18
    yes_no: float = 0.22
    multiple_choice: float = 0.38
    brief_explanation: float = 0.05
    detailed_explanation: float = 0.05
    caption: float = 0.04
    letters: float = 0.08
    echo: float = 1.0


EARLY = Shares(short_answer=0.22, yes_no=0.14, multiple_choice=0.36, brief_explanation=0.03,
               detailed_explanation=0.03, caption=0.10, letters=0.12, echo=2.5)  # fmt: skip
LATE = Shares()


def random_turn(rng: Random, scene: Scene, shares: Shares = LATE) -> Turn:
    """Return a question about the scene in a random format."""
    names = [*(it.value for it in ASD_FORMATS), "caption", "letters"]
    (name,) = rng.choices(names, [getattr(shares, name) for name in names])
    if name == "caption":
        return caption(scene)
    if name == "letters":
        return letters(rng)
    fact = random_fact(rng, scene, shares.echo)
    form = AnswerFormat(name)
    if fact.box and (form not in CLOSED or rng.random() < 0.5):
        form = AnswerFormat.BOX
    return ask(rng, fact, form)
