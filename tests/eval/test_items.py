import pytest

from eval.items import in_drawing_order, items_from_samples
from eval.scoring import score_item
from tests.eval.factories import card, item, sample


def test_every_turn_becomes_an_item_with_its_instruction():
    items = items_from_samples([sample(7, "red", "blue", images=("ab",))], card())

    assert [i.id for i in items] == ["s7#0", "s7#1"]
    assert items[1].question == "question 7.1?"
    assert items[1].prompt == "question 7.1?\nAnswer the question using a single word or phrase."
    assert items[1].images == ("ab",)
    assert items[1].references == ("blue",)
    assert (items[1].task, items[1].metric) == ("colours", "exact_match")


def test_a_card_may_word_its_own_instruction():
    own = card(instructions={"short_answer": "One word."})

    assert items_from_samples([sample(1)], own)[0].prompt == "question 1.0?\nOne word."


def test_further_references_come_after_the_answer():
    base = sample(1)
    turn = base.turns[0].model_copy(update={"references": ("scarlet", "red")})

    items = items_from_samples([base.model_copy(update={"turns": (turn,)})], card())

    assert items[0].references == ("red", "scarlet", "red")


def test_the_training_answer_is_no_vote_of_its_own():
    base = sample(1)
    votes = ("red",) * 3 + tuple(f"other {k}" for k in range(7))
    turns = (base.turns[0].model_copy(update={"references": votes}), base.turns[0])

    items = items_from_samples([base.model_copy(update={"turns": turns})], card(metric="vqa_soft"))

    assert [i.references for i in items] == [votes, ("red",)]
    assert [score_item(i, "red") for i in items] == [pytest.approx(0.9), 1.0]


def test_the_order_of_drawing_depends_on_seed_and_items_alone():
    items = items_from_samples([sample(number) for number in range(200)], card())

    drawn = in_drawing_order(items, seed=3)

    assert in_drawing_order(items[::-1], seed=3) == drawn
    assert sorted(it.id for it in drawn) == sorted(it.id for it in items)
    assert drawn not in (items, in_drawing_order(items, seed=4))
    fewer = [it for it in items if it.id != drawn[0].id]
    assert in_drawing_order(fewer, seed=3) == drawn[1:]


def test_the_digest_covers_what_the_model_sees_and_the_references():
    one = item(1)

    assert one.digest == item(1, task="other").digest
    assert len({one.digest, item(2).digest, item(1, "blue").digest}) == 3
    assert one.digest != item(1, images=("ab",)).digest
    # SHA-256 of the canonical JSON, computed once with sha256sum: a change here orphans every
    # stored prediction.
    assert one.digest == "7aefec13077b9f9de18894e9bdb5f05339c7b025de6a0ef87b6db875976b5f30"
