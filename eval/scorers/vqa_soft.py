"""VQA soft score with the answer normalisation of the EvalAI server (M4C's evaluator).

Written anew from the published rules. Kept on purpose, since the official server has it too: a
period goes unless a digit follows; punctuation becomes a space unless one stands beside it
anywhere in the answer, then it goes; `'s` is split off as a word of its own; "none" counts as 0;
contractions get their apostrophes.

Published quirks, repaired in `fixed`: only the first 32 periods go (a flag is passed as a count);
an answer that vanishes ("the", "?") equals a vote that vanishes. M4C refuses other than ten votes;
here any number counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer, best
from eval.scorers.saying import Sayings

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_PERIOD = re.compile(r"\.(?!\d)")
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())} | {"none": "0"}

_CONTRACTED = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've "
    "hasn't haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't "
    "mightn't've might've mustn't must've needn't not've o'clock oughtn't shan't she'd've "
    "should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've "
    "someone'll someone's something'd something'd've something'll that's there'd there'd've "
    "there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't "
    "what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's "
    "who've why'll why're why's won't 'ow's'at would've wouldn't wouldn't've y'all "
    "y'all'll y'all'd've "
    "you'd you'd've you'll you're you've"
)


def _contractions() -> dict[str, str]:
    """Map each form that lacks one apostrophe to the full form."""
    lacking = {
        form[:place] + form[place + 1 :]: form
        for form in _CONTRACTED.split()
        for place, letter in enumerate(form)
        if letter == "'"
    }
    return lacking | {"somebody'd": "somebodyd"}


_CONTRACTIONS = _contractions()


PUBLISHED_PERIODS = 32
"""Periods that M4C's evaluator removes at most."""


def normalise(answer: str, periods: int = 0) -> str:
    """Return the answer as EvalAI compares it: lower case, digits, no articles, no punctuation.

    `periods`: how many are removed at most; 0 stands for all.
    """
    text = answer.lower()
    if not text.replace(" ", "").isalnum():
        text = text.replace(",", "").replace("?", "").replace("'s", " 's")
        text = text.replace("\n", " ").replace("\t", " ").strip()
        text = _without_punctuation(text, periods)
    words = (_NUMBERS.get(word, word) for word in text.split() if word not in _ARTICLES)
    return " ".join(_CONTRACTIONS.get(word, word) for word in words)


def normalise_published(answer: str) -> str:
    """Return the answer as M4C's evaluator compares it, whose count of periods is limited."""
    return normalise(answer, PUBLISHED_PERIODS)


def _without_punctuation(text: str, periods: int) -> str:
    cleaned = text
    for mark in _MARKS:
        if mark in text:
            beside_space = f"{mark} " in text or f" {mark}" in text
            cleaned = cleaned.replace(mark, "" if beside_space else " ")
    return _PERIOD.sub("", cleaned, count=periods)


def soft_scores(
    references: Sequence[str], normal: Callable[[str], str] = normalise
) -> Mapping[str, float]:
    """Return the score of each normalised answer that a reference (one vote) gives.

    Over n >= 3 votes: the mean over each one left out of min(1, matches / 3) among the rest. With
    n = 3 the divisor is 2, so that full agreement scores 1. Each of one or two votes scores 1.
    """
    answers = [normal(text) for text in references]
    if len(answers) < 3:
        return dict.fromkeys(answers, 1.0)
    return {answer: _leave_one_out(answers.count(answer), len(answers)) for answer in set(answers)}


def _leave_one_out(matches: int, total: int) -> float:
    enough = min(3, total - 1)
    left_out_matches = min(1.0, (matches - 1) / enough)
    left_out_differs = min(1.0, matches / enough)
    return (matches * left_out_matches + (total - matches) * left_out_differs) / total


def _fixed(item: EvalItem) -> Bound:
    scores = {answer: score for answer, score in soft_scores(item.references).items() if answer}
    return lambda answer: scores.get(normalise(answer), 0.0)


def _published(item: EvalItem) -> Bound:
    scores = soft_scores(item.references, normalise_published)
    return lambda answer: scores.get(normalise_published(answer), 0.0)


def _lenient(item: EvalItem, rivals: Collection[str]) -> Bound:
    strict = _fixed(item)
    votes = {text: strict(text) for text in dict.fromkeys(item.references)}
    sayings = {
        score: Sayings((text for text, its in votes.items() if its == score), item.question, rivals)
        for score in set(votes.values())
    }

    def score(answer: str) -> float:
        said = best(score for score, group in sayings.items() if group.says(answer))
        return max(strict(answer), said)

    return score


SCORER = Scorer(_fixed, _published, _lenient, version=2)
