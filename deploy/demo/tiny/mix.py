"""Questions in the answer formats: the material that `retain-tiny` is taught with.

`ask` puts a fact of a scene into one of the formats. No fact that a minicoin task teaches occurs
here: the base knows what it sees and how to answer, not what invented names mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from asd_rewriter.formats import (
    ASD_FORMATS,
    OPTION_LETTERS,
    AnswerFormat,
    options_block,
    with_instruction,
)
from asd_rewriter.rules.explanations import BRIEF_TAIL, DETAILED_TAILS
from deploy.demo.tiny.facts import Fact, echo_value, random_fact
from eval.minicoin.world import PLACES, Scene, Shape, Word

CLOSED = (AnswerFormat.YES_NO, AnswerFormat.MULTIPLE_CHOICE)
"""Formats whose question shows candidates; elsewhere "Where is ...?" asks for a place."""


@dataclass(frozen=True)
class Turn:
    """One question, with its instruction line, and the answer as the model has to write it."""

    kind: str
    answer_format: AnswerFormat
    prompt: str
    answer: str
    image: bool = True


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
    options = list(dict.fromkeys(echo_value(rng) for _ in range(4)))
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
