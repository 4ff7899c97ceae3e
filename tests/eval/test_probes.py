import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_rewriter.answers import box_problem, parse_box, parse_options
from asd_rewriter.formats import INSTRUCTIONS, AnswerFormat
from eval.items import MAX_CHOICE_LENGTH, Constraint
from eval.probes import (
    ALL_KINDS,
    BOX_REGEX,
    FREE_KINDS,
    POOL_SIZE,
    ProbeKind,
    build_probes,
    choose_probed,
    probe_score,
)
from eval.split import split_task
from eval.split_rules import SPLIT_RULES, rules_version
from tests.bench.eval_split import minicoin_items
from tests.eval.factories import card, item

COLOURS = ("red", "green", "blue", "yellow", "grey")


def colour_items(number=5):
    return [
        item(k, COLOURS[k % 5]).model_copy(update={"question": "What colour is the bus?"})
        for k in range(number)
    ]


def by_kind(probes):
    return {kind: [it for it in probes if it.kind is kind] for kind in ProbeKind}


def probes_of(task, number=30, which=0):
    task_card, items = minicoin_items(task, number)
    return by_kind(build_probes(items[which : which + 1], items, task_card)), items[which]


class TestShortAnswers:
    def test_the_item_itself_is_the_lenient_probe_and_shares_its_answer(self):
        items = colour_items()
        (probe,) = build_probes(items[:1], items, card(), [ProbeKind.LENIENT])

        assert probe.digest == probe.of == items[0].digest

    def test_the_answer_is_forced_into_the_label_set(self):
        items = colour_items(2)
        labelled = card(labels=["red", "green", "lilac"])
        (probe,) = build_probes(items[:1], items, labelled, [ProbeKind.FORCED])

        assert set(probe.constraint.choice) == {"red", "green", "lilac"}
        assert (probe.prompt, probe.references) == (items[0].prompt, items[0].references)
        assert probe.digest != items[0].digest

    def test_without_labels_the_tasks_answers_are_the_space(self):
        items = colour_items()
        (probe,) = build_probes(items[:1], items, card(), [ProbeKind.FORCED])

        assert set(probe.constraint.choice) == set(COLOURS)

    def test_a_large_pool_is_sampled_with_the_right_answer(self):
        items = [item(k, f"answer {k}") for k in range(500)]
        first, second = build_probes(items[:2], items, card(), [ProbeKind.FORCED])

        assert len(first.constraint.choice) == len(second.constraint.choice) == POOL_SIZE
        assert "answer 0" in first.constraint.choice
        assert set(first.constraint.choice) != set(second.constraint.choice)

    def test_a_sample_depends_on_task_item_and_seed_alone(self):
        items = [item(k, f"answer {k}") for k in range(500)]

        def drawn(asked, task_items, seed=0):
            return build_probes(asked, task_items, card(), [ProbeKind.FORCED], seed)[-1].constraint

        alone = drawn(items[:1], items)
        assert drawn(items[1::-1], items[::-1]) == alone
        assert drawn(items[:1], items, seed=1) != alone

    def test_no_other_accepted_answer_is_drawn(self):
        items = [item(k, f"answer {k}") for k in range(100)]
        accepted = tuple(f"answer {k}" for k in range(60))
        voted = item(0).model_copy(update={"references": accepted})
        lenient, forced = build_probes(
            [voted], items, card(), [ProbeKind.LENIENT, ProbeKind.FORCED]
        )

        assert set(forced.constraint.choice) & set(accepted) == {"answer 0"}
        assert set(lenient.rivals) == {f"answer {k}" for k in range(60, 100)}

    def test_an_answer_too_long_to_be_forced_is_not(self):
        items = [item(0, "x" * (MAX_CHOICE_LENGTH + 1)), *colour_items()]

        assert build_probes(items[:1], items, card(), [ProbeKind.FORCED]) == []

    def test_yes_no_comes_in_both_polarities(self):
        items = colour_items()
        true, false = build_probes(items[:1], items, card(), [ProbeKind.YES_NO])

        instruction = INSTRUCTIONS[AnswerFormat.YES_NO]
        assert true.prompt == f"Is the bus red?\n{instruction}"
        assert (true.references, false.references) == (("yes",), ("no",))
        claimed = re.fullmatch(r"Is the bus (\w+)\?", false.question)
        assert claimed[1] in set(COLOURS) - {"red"}

    def test_the_right_option_stands_at_every_place(self):
        items = colour_items()
        found = build_probes(items[:1], items, card(), [ProbeKind.CHOICE])

        listed = [parse_options(probe.question).options for probe in found]
        assert [options.index("red") for options in listed] == [0, 1, 2, 3]
        assert [probe.references for probe in found] == [("A",), ("B",), ("C",), ("D",)]
        assert len({frozenset(options) for options in listed}) == 1

    def test_yes_or_no_has_no_second_polarity_and_two_options(self):
        items = [item(0, "yes"), item(1, "no"), *colour_items()]
        found = by_kind(build_probes(items[:1], items, card()))

        assert found[ProbeKind.YES_NO] == []
        assert [it.references for it in found[ProbeKind.CHOICE]] == [("A",), ("B",)]
        assert set(parse_options(found[ProbeKind.CHOICE][0].question).options) == {"yes", "no"}

    def test_a_task_with_one_answer_has_the_item_itself_only(self):
        items = [item(0), item(1)]

        assert [it.kind for it in build_probes(items[:1], items, card())] == [ProbeKind.LENIENT]

    def test_the_most_frequent_vote_is_the_answer(self):
        votes = ("crimson", "red", "red")
        voted = item(0).model_copy(update={"references": votes, "metric": "vqa_soft"})
        found = by_kind(build_probes([voted], colour_items(), card(metric="vqa_soft")))

        assert "red" in parse_options(found[ProbeKind.CHOICE][0].question).options

    def test_the_cards_own_wording_asks(self):
        items = colour_items()
        own = card(instructions={"yes_no": "Yes or no?"})

        assert build_probes(items[:1], items, own, [ProbeKind.YES_NO])[0].prompt.endswith(
            "\nYes or no?"
        )


def test_letters_are_forced_and_options_reordered_for_multiple_choice():
    found, asked = probes_of("science")

    assert found[ProbeKind.FORCED][0].constraint.choice == ("A", "B", "C", "D")
    orders = [parse_options(it.question).options for it in found[ProbeKind.CHOICE]]
    native = parse_options(asked.question)
    right = native.options["ABCD".index(asked.references[0])]
    assert [options.index(right) for options in orders] == [0, 1, 2, 3]
    assert all(set(options) == set(native.options) for options in orders)
    assert all(it.question.startswith(native.stem) for it in found[ProbeKind.CHOICE])


def test_options_that_speak_of_others_are_not_reordered():
    question = "What is there?\nA. a cat\nB. a dog\nC. all of the above"
    asked = item(0, "A", metric="option_letter").model_copy(
        update={"question": question, "format": AnswerFormat.MULTIPLE_CHOICE}
    )
    found = by_kind(build_probes([asked], [asked], card()))

    assert found[ProbeKind.CHOICE] == []
    assert found[ProbeKind.FORCED][0].constraint.choice == ("A", "B", "C")


def test_boxes_are_forced_by_a_bounded_pattern():
    found, asked = probes_of("grounding")
    pattern = re.compile(found[ProbeKind.FORCED][0].constraint.regex)

    assert pattern.pattern == BOX_REGEX
    assert pattern.fullmatch(asked.references[0])
    assert len(found[ProbeKind.YES_NO]) == 2
    assert len(found[ProbeKind.CHOICE]) == 4
    for text in ("[0, 1, 0.5, 1.0]", "[0.123, 0.4, 0.56, 1]"):
        assert pattern.fullmatch(text)
    for text in ("[0.1234, 0, 0, 1]", "[2, 0, 0, 1]", "0, 0, 1, 1", "[.5, 0, 0, 1]", "[0, 0, 1]"):
        assert not pattern.fullmatch(text)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_every_box_to_three_decimals_matches(edges):
    text = "[" + ", ".join(str(edge / 1000) for edge in edges) + "]"

    assert re.fullmatch(BOX_REGEX, text)
    assert (box_problem(parse_box(text)) or "").count("outside") == 0


@pytest.mark.parametrize("metric", ["caption", "contains", "class_name", "map_qa"])
def test_a_metric_that_forgives_style_has_no_lenient_probe(metric):
    items = [it.model_copy(update={"metric": metric}) for it in colour_items()]
    found = by_kind(build_probes(items[:1], items, card(metric=metric)))

    assert found[ProbeKind.LENIENT] == []
    assert found[ProbeKind.FORCED] != []


def test_a_lost_caption_that_no_probe_can_tell_of_is_not_called_essential():
    caption = item(0, "a red bus on a road", metric="caption").model_copy(
        update={"format": AnswerFormat.CAPTION}
    )
    items = [caption]
    probes = build_probes(items, items, card(metric="caption", answer_format="caption"))
    right, wrong = {caption.digest: "a red bus on a road"}, {caption.digest: "two dogs"}

    split = split_task(items, probes, right, wrong, wrong)

    assert probes == []
    assert (split.lost, split.probed, split.superficial, split.essential) == (1, 0, None, None)


def test_captions_are_only_scored_leniently():
    caption = item(0).model_copy(update={"format": AnswerFormat.CAPTION})

    found = build_probes([caption], [caption, *colour_items()], card())
    assert [it.kind for it in found] == [ProbeKind.LENIENT]


@pytest.mark.parametrize(
    "task",
    ["science", "signs", "classes", "compose", "blurry", "grounding", "counts", "covers"],
)
def test_probes_of_all_tasks_are_few_distinct_and_the_same_again(task):
    task_card, items = minicoin_items(task, 60)
    found = build_probes(items, items, task_card)
    again = build_probes(items[30:31], items, task_card)

    assert again == [it for it in found if it.of == items[30].digest]
    for asked in items:
        mine = [it for it in found if it.of == asked.digest]
        assert len(mine) <= 8
        assert len({it.digest for it in mine}) >= len(mine) - (task == "science")
    assert {it.kind for it in found} == set(ALL_KINDS)


def test_without_structured_decoding_no_probe_has_a_constraint():
    task_card, items = minicoin_items("signs", 20)

    found = build_probes(items, items, task_card, FREE_KINDS)
    assert all(it.constraint is None for it in found)
    assert {it.kind for it in found} == set(FREE_KINDS)


def test_another_seed_draws_other_wrong_answers():
    items = colour_items()
    asked = [build_probes(items, items, card(), [ProbeKind.CHOICE], seed) for seed in (0, 1)]

    assert [it.prompt for it in asked[0]] != [it.prompt for it in asked[1]]


class TestSample:
    def test_it_depends_on_the_items_alone_and_grows(self):
        items = [item(k) for k in range(40)]
        small, large = choose_probed(items, 10), choose_probed(items[::-1], 20)

        assert small == large[:10]
        assert len({it.digest for it in large}) == 20
        assert choose_probed(items, 10, seed=1) != small

    def test_equal_items_are_asked_once(self):
        assert len(choose_probed([item(1), item(1)])) == 1

    def test_a_limit_below_one_is_refused(self):
        with pytest.raises(ValueError, match="got 0"):
            choose_probed([item(1)], 0)


def test_forced_answers_are_scored_strictly_and_others_leniently():
    items = colour_items()
    found = by_kind(build_probes(items[:1], items, card()))
    said = "The answer is red."

    assert probe_score(found[ProbeKind.LENIENT][0], said) == 1
    assert probe_score(found[ProbeKind.FORCED][0], said) == 0
    assert probe_score(found[ProbeKind.FORCED][0], "red") == 1
    assert probe_score(found[ProbeKind.CHOICE][1], "(B)") == 1
    assert probe_score(found[ProbeKind.CHOICE][1], "red") == 1
    assert probe_score(found[ProbeKind.YES_NO][0], "Yes, it is.") == 1
    assert probe_score(found[ProbeKind.YES_NO][0], "no") == 0


def test_the_rules_have_a_version_that_moves_with_them(monkeypatch):
    before = rules_version()
    rules_version.cache_clear()
    monkeypatch.setitem(INSTRUCTIONS, AnswerFormat.YES_NO, "Say yes or no.")
    changed = rules_version()
    rules_version.cache_clear()

    assert before.startswith(f"{SPLIT_RULES}-")
    assert changed != before


class TestConstraint:
    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({}, "either a choice or a regex"),
            ({"choice": ("a", "b"), "regex": "a|b"}, "either a choice or a regex"),
            ({"choice": ("a", "a")}, "must differ"),
            ({"choice": ("a", "")}, "0 characters"),
            ({"choice": ("a", "b" * 61)}, "61 characters"),
            ({"choice": ("a",)}, "at least 2"),
            ({"choice": tuple(str(k) for k in range(257))}, "at most 256"),
        ],
    )
    def test_what_cannot_be_forced_is_refused(self, fields, problem):
        with pytest.raises(ValueError, match=problem):
            Constraint(**fields)

    def test_it_is_part_of_an_items_digest(self):
        free = item(1)
        forced = free.model_copy(update={"constraint": Constraint(choice=("red", "blue"))})
        other = free.model_copy(update={"constraint": Constraint(regex="red|blue")})

        assert len({free.digest, forced.digest, other.digest}) == 3

    def test_an_unconstrained_items_digest_is_what_it_was(self):
        # as stored by versions that knew no constraint: sha256 of images, prompt, references
        assert item(0).digest == (
            "dc15f95681c554cd516ddb97da03729ee7f8f8890f9b049f873714560c245968"
        )
