import pytest

from eval import scoring
from eval.errors import InvalidItems, PredictionsMissing
from eval.scoring import score_item, score_items
from tests.eval.factories import item


def test_accuracy_is_the_mean_score_in_points_with_its_n():
    items = [item(1, "red"), item(2, "blue"), item(3, "green"), item(4, "red")]
    answers = {i.digest: "Red." for i in items}

    cell = score_items(items, answers).cell

    assert (cell.accuracy, cell.n, cell.metric) == (50.0, 4, "exact_match")


def test_a_part_of_the_items_is_never_scored():
    items = [item(1), item(2)]

    with pytest.raises(PredictionsMissing, match=r"1 of 2 items of task 'colours'.*'s2#0'"):
        score_items(items, {items[0].digest: "red"})


def test_no_items_is_an_error_that_says_what_to_do():
    with pytest.raises(PredictionsMissing, match="evaluation split"):
        score_items([], {})


def test_scores_are_given_by_item_with_what_made_them():
    items = [item(1, "red"), item(2, "blue")]

    found = score_items(items, {i.digest: "It is red." for i in items}, "lenient")

    assert found.scores == {items[0].digest: 1.0, items[1].digest: 0.0}
    assert (found.task, found.metric, found.scorer) == (
        "colours",
        "exact_match",
        "exact_match-2-lenient",
    )
    assert (found.accuracy, found.n) == (50.0, 2)


def test_answers_are_found_by_digest_whatever_their_order():
    items = [item(1, "red"), item(2, "blue"), item(3, "green")]
    answers = {i.digest: i.references[0] for i in items}
    backwards = dict(reversed(answers.items()))

    assert score_items(items, answers).accuracy == 100.0
    assert score_items(items, backwards) == score_items(items, answers)


def test_an_id_that_is_there_twice_is_refused():
    items = [item(1, "red"), item(2, "blue"), item(1, "green")]

    with pytest.raises(InvalidItems, match=r"1 of 2 ids of task 'colours'.*'s1#0'"):
        score_items(items, {i.digest: "red" for i in items})


def test_items_of_two_tasks_are_refused():
    items = [item(1, "red"), item(2, "blue", task="shapes")]

    with pytest.raises(InvalidItems, match=r"2 tasks or metrics.*'colours'.*'shapes'"):
        score_items(items, {i.digest: "red" for i in items})


def test_two_ids_that_ask_the_same_both_count():
    items = [item(1, "red"), item(1, "red").model_copy(update={"id": "copy"}), item(2, "blue")]

    found = score_items(items, {i.digest: "red" for i in items})

    assert (found.n, len(found.scores), found.accuracy) == (3, 2, pytest.approx(200 / 3))


def test_references_are_prepared_once_per_item(monkeypatch):
    bound = []
    bind = scoring.bind_scorer
    monkeypatch.setattr(scoring, "bind_scorer", lambda *of: bound.append(of) or bind(*of))
    items = [item(91, "red"), item(92, "blue")]

    for _ in range(3):
        score_items(items, {i.digest: "red" for i in items})
    score_items(items, {i.digest: "red" for i in items}, "published")

    assert len(bound) == 4


def test_memory_of_prepared_items_is_bounded(monkeypatch):
    monkeypatch.setattr(scoring, "REMEMBERED_ITEMS", 5)
    monkeypatch.setattr(scoring, "_remembered", {})
    items = [item(number) for number in range(20)]

    assert score_items(items, {i.digest: "red" for i in items}).accuracy == 100.0
    assert len(scoring._remembered) == 5


def test_rivals_are_for_the_lenient_reading():
    one = item(1, "red")

    assert score_item(one, "It is red. The sky is blue.", "lenient") == 0.0
    assert score_item(one, "It is red. The sky is blue.", "lenient", {"green"}) == 1.0
    assert score_item(one, "It is red. The sky is blue.", "lenient", {"blue"}) == 0.0
