"""Constructed answers of known truth: what share of lost answers the split assigns right.

A scripted model believes something about every minicoin item and answers in a style. Three of its
errors are made: the style alone is wrong, the fact alone, or both. Only the first is superficial.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from asd_rewriter.answers import parse_options
from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat
from asd_rewriter.samples import Sample, Turn
from eval.forgetting import RIGHT
from eval.items import EvalItem, items_from_samples
from eval.minicoin.tasks import TASKS
from eval.minicoin.writing import card_of
from eval.predictors import ScriptedPredictor, predict_all
from eval.probes import Probe, ProbeKind, build_probes, choose_probed
from eval.scoring import score_item
from eval.split import TaskSplit, lost_items, split_task

Style = Callable[[EvalItem, str], str]
ERRORS = ("format_only", "content_only", "mixed")


def native(_item: EvalItem, answer: str) -> str:
    """Answer as asked."""
    return answer


def sentence(item: EvalItem, answer: str) -> str:
    """Answer with a sentence that names the answer's words."""
    return f"The answer is {in_words(item, answer)}, as can be seen."


def words(item: EvalItem, answer: str) -> str:
    """Answer with an option's text instead of its letter; else repeat the question first."""
    return in_words(item, answer) if _options(item) else f"{item.question} {answer}!"


def vague(_item: EvalItem, _answer: str) -> str:
    """Say nothing that tells the answer."""
    return "It is what the picture shows."


STYLES: tuple[Style, ...] = (sentence, words, vague)


@dataclass(frozen=True)
class Believer:
    """Holds beliefs (native answers by item digest) and answers all probes by them.

    Native questions get the style, other formats their own short answers; among options that do
    not hold the belief, and where there is none, it guesses.
    """

    beliefs: dict[str, str]
    items: dict[str, EvalItem]
    style: Style
    seed: int = 0

    def __call__(self, item: EvalItem) -> str:
        """Return the answer to an item or a probe."""
        probe = item if isinstance(item, Probe) else None
        of = self.items[probe.of if probe else item.digest]
        belief = self.beliefs.get(of.digest)
        if probe is None or probe.kind is ProbeKind.LENIENT:
            return self.style(of, belief) if belief is not None else "?"
        rng = Random(f"{self.seed}:{probe.digest}")
        if probe.kind is ProbeKind.FORCED:
            return _forced(rng, probe, belief)
        meant = None if belief is None else in_words(of, belief)
        if probe.kind is ProbeKind.YES_NO:
            return rng.choice(("yes", "no")) if meant is None else _yes_no(of, probe, meant)
        options = _options(probe)
        found = [at for at, text in enumerate(options) if text == meant]
        return OPTION_LETTERS[found[0] if found else rng.randrange(len(options))]


def split_of(
    task: str, number: int, error: str, style: Style, seed: int = 0
) -> tuple[TaskSplit, dict[str, EvalItem]]:
    """Return the split of a task all of whose items got one error, and the items by digest."""
    card, items = minicoin_items(task, number, seed)
    known = {item.digest: item for item in items}
    truth = {item.digest: item.references[0] for item in items}
    wrong = {key: _other(Random(f"{seed}:{key}"), items, known[key]) for key in truth}
    believes = truth if error == "format_only" else wrong
    now_style = native if error == "content_only" else style
    learned = Believer(truth, known, native)
    return divide(
        items, card, learned, Believer(believes, known, now_style), Believer({}, known, vague)
    ), known


def divide(
    items: Sequence[EvalItem],
    card: TaskCard,
    learned: Callable[[EvalItem], str],
    now: Callable[[EvalItem], str],
    before: Callable[[EvalItem], str],
    limit: int = 10_000,
) -> TaskSplit:
    """Ask three scripted models what a split needs, and return it."""
    then, today = (answers(model, items) for model in (learned, now))
    lost = choose_probed(lost_items(items, then, today), limit)
    probes = build_probes(lost, items, card)
    return split_task(items, probes, then, today | answers(now, probes), answers(before, probes))


def answers(model: Callable[[EvalItem], str], items: Sequence[EvalItem]) -> dict[str, str]:
    """Return a scripted model's answers by item digest."""
    return {it.item_digest: it.text for it in predict_all(ScriptedPredictor(model), items)}


def minicoin_items(task: str, number: int, seed: int = 0) -> tuple[TaskCard, list[EvalItem]]:
    """Return a task's card and items; pictures are named, not drawn."""
    rng, samples = Random(f"{task} {seed}"), []
    for at in range(number):
        made = TASKS[task].make(rng)
        turn = Turn(question=made.question, answer=made.answer, format=TASKS[task].answer_format)
        samples.append(Sample(id=f"{task}-{at}", images=(f"{at:064x}",), turns=(turn,)))
    card = TaskCard.model_validate(card_of(TASKS[task]))
    return card, items_from_samples(samples, card)


def split_assigned_right_pct(per_case: int = 40, seed: int = 0) -> float:
    """Return the percentage of lost answers that the split assigns right.

    Over the eight minicoin tasks, three errors and three styles in equal shares.
    """
    right = [it for case in _cases() for it in _assigned_right(*case, per_case, seed)]
    return 100 * sum(right) / len(right)


def _cases() -> Iterator[tuple[str, str, Style]]:
    return ((task, error, style) for task in TASKS for error in ERRORS for style in STYLES)


def _assigned_right(task: str, error: str, style: Style, number: int, seed: int) -> list[bool]:
    split, _ = split_of(task, number, error, style, seed)
    superficial = error == "format_only"
    return [bool(kinds) == superficial for kinds in split.recovered_by.values()]


def in_words(item: EvalItem, answer: str) -> str:
    """Return the option's text of a letter, else the answer itself."""
    options = _options(item)
    return options[OPTION_LETTERS.index(answer)] if options else answer


def _options(item: EvalItem) -> tuple[str, ...]:
    if item.format is not AnswerFormat.MULTIPLE_CHOICE:
        return ()
    listed = parse_options(item.question)
    return listed.options if listed else ()


def _other(rng: Random, items: Sequence[EvalItem], item: EvalItem) -> str:
    """Return another answer of the task, of the same kind."""
    right = item.references[0]
    kinds = (right in ("yes", "no"), right.isdigit())
    texts = {it.references[0] for it in items}
    found = {text for text in texts if score_item(item, text) < RIGHT}
    alike = sorted(it for it in found if (it in ("yes", "no"), it.isdigit()) == kinds)
    return rng.choice(alike)


def _forced(rng: Random, probe: Probe, belief: str | None) -> str:
    assert probe.constraint is not None
    if probe.constraint.choice is None:
        return belief or "[0.0, 0.0, 0.1, 0.1]"
    if belief in probe.constraint.choice:
        return belief
    return rng.choice(probe.constraint.choice)


def _yes_no(of: EvalItem, probe: Probe, meant: str) -> str:
    """Compare the claim with what is meant: the words that the question has beyond the item's."""
    claimed = re.search(rf"(?<!\w){re.escape(meant)}(?!\w)", probe.question.split("\nA. ")[0])
    return "yes" if claimed else "no"
