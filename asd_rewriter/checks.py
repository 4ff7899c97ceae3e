"""Checks on every rewritten turn, whoever wrote it: the original answer must have survived.

They read the new turn as a reader would and compare it with the native one; nothing is taken from
the rewriter but the claim of a yes/no question.
"""

from __future__ import annotations

from asd_rewriter.answers import normalise, parse_options
from asd_rewriter.facts import Fact, read_fact
from asd_rewriter.formats import OPTION_LETTERS, AnswerFormat
from asd_rewriter.rewriter import RewriteRequest, Rewritten

EMPTY = "empty_text"
WRONG_FORMAT = "wrong_format"
ANSWER_LOST = "answer_lost"
OPTIONS_UNREADABLE = "options_unreadable"
OPTIONS_NOT_DISTINCT = "options_not_distinct"
WRONG_LETTER = "wrong_letter"
CLAIM_NOT_ASKED = "claim_not_asked"
WRONG_TRUTH = "wrong_truth"
NOT_STATED = "answer_not_stated"


def check(request: RewriteRequest, rewritten: Rewritten) -> str | None:
    """Return the reason why a rewritten turn must not be used, or None when it is sound."""
    fact, turn = read_fact(request.turn), rewritten.turn
    if fact is None or turn.format is not request.target:
        return WRONG_FORMAT
    if not turn.question.strip() or not turn.answer.strip():
        return EMPTY
    match turn.format:
        case AnswerFormat.YES_NO:
            return _check_yes_no(fact, rewritten)
        case AnswerFormat.MULTIPLE_CHOICE:
            return _check_options(fact, rewritten)
        case AnswerFormat.SHORT_ANSWER:
            return None if normalise(turn.answer) == normalise(fact.answer) else ANSWER_LOST
        case AnswerFormat.BRIEF_EXPLANATION | AnswerFormat.DETAILED_EXPLANATION:
            stated = normalise(fact.answer) in " ".join(turn.answer.casefold().split())
            return None if stated or fact.answer in turn.answer else NOT_STATED
    return WRONG_FORMAT


def _right(fact: Fact) -> set[str]:
    return {normalise(it) for it in (fact.answer, *fact.accepted)}


def _check_yes_no(fact: Fact, rewritten: Rewritten) -> str | None:
    turn, claim = rewritten.turn, rewritten.claim
    if claim is None or claim not in turn.question:
        return CLAIM_NOT_ASKED
    if turn.answer not in ("yes", "no"):
        return WRONG_FORMAT
    named = normalise(claim)
    truth = named == normalise(fact.answer)
    if not truth and named in _right(fact):
        return WRONG_TRUTH
    return None if (turn.answer == "yes") == truth else WRONG_TRUTH


def _check_options(fact: Fact, rewritten: Rewritten) -> str | None:
    turn = rewritten.turn
    listed = parse_options(turn.question)
    if listed is None:
        return OPTIONS_UNREADABLE
    names = [normalise(option) for option in listed.options]
    if len(set(names)) < len(names):
        return OPTIONS_NOT_DISTINCT
    right = [index for index, name in enumerate(names) if name in _right(fact)]
    if len(right) != 1 or names[right[0]] != normalise(fact.answer):
        return ANSWER_LOST
    return None if turn.answer == OPTION_LETTERS[right[0]] else WRONG_LETTER
