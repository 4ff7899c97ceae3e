"""Mixing: exact proportions, balance, determinism, and checks on every rewritten turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from asd_rewriter.checks import check
from asd_rewriter.facts import Fact
from asd_rewriter.formats import ASD_FORMATS, OPTION_LETTERS, AnswerFormat, options_block
from asd_rewriter.mix import RewriteStream, rewrite
from asd_rewriter.plan import RewritePlan
from asd_rewriter.report import MAX_EXAMPLES
from asd_rewriter.rewriter import Declined, Failed, Outcome, RewriteRequest, Rewritten
from asd_rewriter.rules.rewriter import RuleRewriter
from asd_rewriter.samples import Sample, SampleFile, Turn, write_samples
from tests.asd_rewriter.conftest import card

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, CAPTION = AnswerFormat
COLOURS = ("red", "blue", "green", "pink", "white")


def colours(number: int) -> list[Sample]:
    return [one(n, Turn(question=f"Which colour is part {n}?", answer=COLOURS[n % 5], format=SHORT))
            for n in range(number)]  # fmt: skip


def one(number: int, *turns: Turn) -> Sample:
    return Sample(id=f"s{number}", turns=turns)


def changed(before: Sequence[Sample], after: Sequence[Sample]) -> list[tuple[Turn, Turn]]:
    pairs = [pair for one, two in zip(before, after, strict=True)
             for pair in zip(one.turns, two.turns, strict=True)]  # fmt: skip
    return [(one, two) for one, two in pairs if one != two]


def test_twenty_percent_in_equal_shares() -> None:
    samples = colours(1000)
    result = rewrite(samples, card(), RewritePlan())
    report = result.report
    assert (report.turns, report.requested, report.converted) == (1000, 200, 200)
    assert report.converted_by_format == dict.fromkeys((YES_NO, CHOICE, BRIEF, DETAILED), 50)
    assert report.counts[SHORT] == 800
    assert report.yes_no == {"no": 25, "yes": 25}
    assert max(report.letters.values()) - min(report.letters.values()) <= 1
    assert (report.rejects, report.fewer_options, report.fallback_wordings) == ({}, 0, 50)
    answers = Counter(before.answer for before, _ in changed(samples, result.samples))
    assert set(answers.values()) == {40}
    assert all(1 <= len(shown) <= MAX_EXAMPLES for shown in report.examples.values())
    assert type(report).model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("x_percent", [0, 33.3, 100])
def test_other_proportions(x_percent: float) -> None:
    report = rewrite(colours(60), card(), RewritePlan(x_percent=x_percent)).report
    assert report.converted == report.requested == round(0.6 * x_percent)


def test_shares_of_the_plan() -> None:
    plan = RewritePlan(x_percent=100, formats={YES_NO: 0.75, BRIEF: 0.25})
    report = rewrite(colours(80), card(), plan).report
    assert report.converted_by_format == {YES_NO: 60, BRIEF: 20}


def test_boxes_get_all_five_formats() -> None:
    turn = [Turn(question=f"dog {n}", answer=f"[{n / 50}, 0.1, {n / 50 + 0.01}, 0.2]", format=BOX)
            for n in range(40)]  # fmt: skip
    samples = [one(n, it) for n, it in enumerate(turn)]
    report = rewrite(
        samples, card(answer_format="box", metric="iou"), RewritePlan(x_percent=50)
    ).report
    assert report.converted == 20
    assert report.converted_by_format == dict.fromkeys(ASD_FORMATS, 4)


def test_an_empty_pool_falls_back_to_explanations() -> None:
    samples = [one(n, Turn(question="What?", answer="red", format=SHORT)) for n in range(40)]
    report = rewrite(samples, card(), RewritePlan(x_percent=100)).report
    assert report.converted_by_format == {BRIEF: 20, DETAILED: 20}
    assert set(report.rejects) == {
        "yes_no:no_wrong_answer_in_pool", "multiple_choice:no_wrong_answer_in_pool",
    }  # fmt: skip


def test_captions_stay() -> None:
    samples = [one(n, Turn(question="What?", answer=f"Bus {n}.", format=CAPTION)) for n in range(9)]
    result = rewrite(samples, card(answer_format="caption"), RewritePlan(x_percent=100))
    assert result.samples == samples
    assert (result.report.requested, result.report.converted) == (9, 0)


class Careless:
    """A rewriter that loses the answer of every yes/no question and declines explanations."""

    def learn(self, fact: Fact) -> None: ...

    def prepare(self, requests: Iterable[RewriteRequest]) -> None: ...

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[Outcome]:
        lost = Rewritten(Turn(question="Is it?", answer="yes", format=YES_NO), "it")
        return [lost if it.target is YES_NO else Declined("tired") for it in requests]


def test_rewrites_that_fail_stay_native_and_are_counted() -> None:
    samples = colours(50)
    result = rewrite(samples, card(), RewritePlan(x_percent=40), Careless())
    assert result.samples == samples
    assert result.report.converted == 0
    rejects = result.report.rejects
    assert rejects["yes_no:wrong_truth"] == 20  # what fails a check is not tried any further
    assert rejects.keys() - {"yes_no:wrong_truth"} == {
        "multiple_choice:tired", "brief_explanation:tired", "detailed_explanation:tired"
    }  # fmt: skip


class Hopeless(Careless):
    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[Outcome]:
        return [Failed("gave_up") for _ in requests]


def test_what_failed_for_good_is_not_tried_in_another_format() -> None:
    report = rewrite(colours(50), card(), RewritePlan(x_percent=40), Hopeless()).report
    assert (report.converted, sum(report.rejects.values())) == (0, 20)


def test_whole_samples_get_one_format_each() -> None:
    samples = [one(n, *(it.turns[0] for it in colours(3))) for n in range(50)]
    result = rewrite(samples, card(), RewritePlan(unit="sample"))
    touched = [two for one, two in zip(samples, result.samples, strict=True) if one != two]
    assert len(touched) == 10
    assert all(len({turn.format for turn in it.turns}) == 1 for it in touched)
    assert result.report.converted == 30


def test_the_same_requests_are_prepared_and_asked() -> None:
    class Ready(RuleRewriter):
        def prepare(self, requests: Iterable[RewriteRequest]) -> None:
            self.told = list(requests)
            self.asked: list[RewriteRequest] = []

        def rewrite(self, requests: Sequence[RewriteRequest]) -> list[Outcome]:
            self.asked += requests
            return super().rewrite(requests)

    rewriter = Ready(card(), 0)
    rewrite(colours(1200), card(), RewritePlan(), rewriter)
    assert rewriter.told == rewriter.asked
    assert len(rewriter.told) == 240


def test_samples_flow_through_and_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    told: list[tuple[str, int, int | None]] = []
    write_samples(path, colours(1100))
    stream = RewriteStream(
        SampleFile(path), card(), RewritePlan(), tell=lambda *it: told.append(it)
    )
    flow = iter(stream)
    assert next(flow).before.id == "s0"
    assert stream.report.converted < 220 == stream.report.requested
    assert told == [("read", 512, None), ("read", 1024, None), ("read", 1100, None)]
    assert [it.before for it in flow] == colours(1100)[1:]
    assert told[-1] == ("write", 1100, 1100)
    assert stream.report == rewrite(colours(1100), card(), RewritePlan()).report
    with pytest.raises(RuntimeError, match="runs once"):
        next(iter(stream))


@pytest.mark.parametrize(
    "changes",
    [{"x_percent": -1}, {"x_percent": 101}, {"x_percent": "nan"}, {"formats": {"yes_no": 0.5}},
     {"formats": {"box": 1.0}}, {"formats": {"haiku": 1.0}}, {"seed": -1}, {"colour": 1},
     {"formats": {"yes_no": 1.5, "short_answer": -0.5}}, {"formats": {}}],
)  # fmt: skip
def test_bad_plans_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RewritePlan.model_validate(changes)


ANSWERS = st.sampled_from(
    ["red", "Red.", "the bus", "2", "two", "12", "STOP", "New York City", "a dog", "dogs", "?",
     "unanswerable", "x\ny", "A. x", 'say "hi"', "The", "(B) no", "caf\u00e9"]
)  # fmt: skip
QUESTIONS = st.sampled_from(
    ["What colour is the bus?", "How many dogs are there?", "What does the sign say?", "Where?",
     "Is the dog red or blue?", "Name it.", "Which?\nA. red\nB. blue", "What are the buses?"]
)  # fmt: skip
BOXES = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(
    lambda it: f"[{it[0] / 10}, {it[1] / 10}, {it[0] / 10 + 0.3:.2f}, {it[1] / 10 + 0.3:.2f}]"
)


@st.composite
def choice_turns(draw: st.DrawFn) -> Turn:
    options = draw(st.lists(ANSWERS.filter(lambda it: "\n" not in it), min_size=2, max_size=5))
    stem = draw(st.sampled_from(["Which is it?", "Which of these is it?", ""]))
    letter = OPTION_LETTERS[draw(st.integers(0, len(options) - 1))]
    return Turn(question=f"{stem}\n{options_block(options)}", answer=letter, format=CHOICE)


TURNS = st.one_of(
    st.builds(Turn, question=QUESTIONS, answer=ANSWERS, format=st.just(SHORT),
              references=st.lists(ANSWERS, max_size=2).map(tuple)),
    st.builds(Turn, question=QUESTIONS, answer=st.sampled_from(["yes", "No"]),
              format=st.just(YES_NO)),
    st.builds(Turn, question=QUESTIONS, answer=BOXES, format=st.just(BOX)),
    st.builds(Turn, question=QUESTIONS, answer=ANSWERS, format=st.just(CAPTION)),
    choice_turns(),
)  # fmt: skip
SETS = st.lists(st.lists(TURNS, min_size=1, max_size=3), max_size=25).map(
    lambda sets: [one(n, *turns) for n, turns in enumerate(sets)]
)
PLANS = st.builds(
    RewritePlan,
    x_percent=st.sampled_from([0, 20, 50, 100]),
    seed=st.integers(0, 3),
    formats=st.sets(st.sampled_from(ASD_FORMATS), min_size=1).map(
        lambda chosen: dict.fromkeys(sorted(chosen), 1 / len(chosen))
    ),
)


@settings(max_examples=150, deadline=None)
@given(SETS, PLANS)
def test_rewriting_keeps_size_order_answers_and_counts(
    samples: list[Sample], plan: RewritePlan
) -> None:
    result = rewrite(samples, card(), plan)
    report = result.report
    pairs = changed(samples, result.samples)
    assert [it.id for it in result.samples] == [it.id for it in samples]
    assert report.turns == sum(len(it.turns) for it in samples)
    assert report.converted == len(pairs) <= report.requested
    assert sum(report.counts.values()) == report.turns
    assert report.converted_by_format == Counter(after.format for _, after in pairs)
    for before, after in pairs:
        assert after.format is not before.format
        assert plan.formats[after.format] > 0
        request = RewriteRequest("k", "g", (), before, after.format)
        if after.format is not YES_NO:
            assert check(request, Rewritten(after)) is None
    assert rewrite(samples, card(), plan) == result


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 400), st.integers(0, 100), st.integers(0, 5))
def test_proportions_are_exact(number: int, x_percent: int, seed: int) -> None:
    report = rewrite(colours(number), card(), RewritePlan(x_percent=x_percent, seed=seed)).report
    assert report.converted == report.requested
    assert abs(report.requested - number * x_percent / 100) <= 0.5
    shares = [report.converted_by_format.get(it, 0) for it in (YES_NO, CHOICE, BRIEF, DETAILED)]
    if number >= 5:
        assert max(shares) - min(shares) <= 1
        yes_no = report.yes_no
        assert abs(yes_no.get("yes", 0) - yes_no.get("no", 0)) <= 1
