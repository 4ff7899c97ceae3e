"""Checks on every rewritten turn, whoever wrote it: the original answer must have survived.

They read the new turn as a reader would and compare it with the native one; nothing is taken from
the rewriter but the claim of a yes/no question. What a check cannot know, whether an explanation
is true to the image, it does not claim.
"""

from __future__ import annotations

from asd_rewriter.answers import count_words, normalise, parse_options
from asd_rewriter.facts import Fact, read_fact
from asd_rewriter.formats import EXPLANATION_WORDS, OPTION_LETTERS, AnswerFormat
from asd_rewriter.reading import named_answers, says
from asd_rewriter.rewriter import RewriteRequest, Rewritten

EMPTY = "empty_text"
WRONG_FORMAT = "wrong_format"
ANSWER_LOST = "answer_lost"
ANSWER_LEAKED = "answer_in_question"
OPTIONS_UNREADABLE = "options_unreadable"
OPTIONS_NOT_DISTINCT = "options_not_distinct"
WRONG_LETTER = "wrong_letter"
CLAIM_NOT_ASKED = "claim_not_asked"
WRONG_TRUTH = "wrong_truth"
NOT_STATED = "answer_not_stated"
CONTRADICTED = "answer_contradicted"
TOO_SHORT = "too_short"
TOO_LONG = "too_long"


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
            return _check_short_answer(fact, rewritten)
        case AnswerFormat.BRIEF_EXPLANATION | AnswerFormat.DETAILED_EXPLANATION:
            return _check_explanation(fact, rewritten)
    return WRONG_FORMAT


def _right(fact: Fact) -> set[str]:
    return {normalise(it) for it in (fact.answer, *fact.accepted)}


def _leaks(fact: Fact, question: str) -> bool:
    """Whether a question says the answer although the native one did not."""
    return says(question, fact.answer) and not says(fact.question, fact.answer)


def _check_short_answer(fact: Fact, rewritten: Rewritten) -> str | None:
    turn = rewritten.turn
    if fact.native is AnswerFormat.BOX:  # the other way round: from the place to its name
        kept = fact.answer in turn.question and says(fact.question, turn.answer)
        return None if kept else ANSWER_LOST
    if normalise(turn.answer) != normalise(fact.answer):
        return ANSWER_LOST
    return ANSWER_LEAKED if _leaks(fact, turn.question) else None


def _check_yes_no(fact: Fact, rewritten: Rewritten) -> str | None:
    turn, claim = rewritten.turn, rewritten.claim
    if not claim or claim not in turn.question:
        return CLAIM_NOT_ASKED
    if turn.answer not in ("yes", "no"):
        return WRONG_FORMAT
    named = normalise(claim)
    truth = named == normalise(fact.answer)
    if (not truth and named in _right(fact)) or (turn.answer == "yes") != truth:
        return WRONG_TRUTH
    leaked = not truth and _leaks(fact, turn.question.replace(claim, " ", 1))
    return ANSWER_LEAKED if leaked else None


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
    if turn.answer != OPTION_LETTERS[right[0]]:
        return WRONG_LETTER
    return ANSWER_LEAKED if _leaks(fact, listed.stem) else None


def _check_explanation(fact: Fact, rewritten: Rewritten) -> str | None:
    turn = rewritten.turn
    if not says(turn.answer, fact.answer):
        return NOT_STATED
    right = _right(fact)
    if any(normalise(it) not in right for it in named_answers(turn.answer, fact)):
        return CONTRADICTED
    if _leaks(fact, turn.question):
        return ANSWER_LEAKED
    least, most = EXPLANATION_WORDS[turn.format]
    words = count_words(turn.answer)
    if words < least:
        return TOO_SHORT
    return TOO_LONG if words - count_words(fact.answer) > most else None
