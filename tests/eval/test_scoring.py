import pytest

from eval.errors import PredictionsMissing
from eval.scoring import score_task
from tests.eval.factories import item


def test_accuracy_is_the_mean_score_in_points_with_its_n():
    items = [item(1, "red"), item(2, "blue"), item(3, "green"), item(4, "red")]
    answers = {i.digest: "Red." for i in items}

    cell = score_task(items, answers)

    assert (cell.accuracy, cell.n, cell.metric) == (50.0, 4, "exact_match")


def test_a_part_of_the_items_is_never_scored():
    items = [item(1), item(2)]

    with pytest.raises(PredictionsMissing, match=r"1 of 2 items of task 'colours'.*'s2#0'"):
        score_task(items, {items[0].digest: "red"})


def test_no_items_is_an_error_that_says_what_to_do():
    with pytest.raises(PredictionsMissing, match="evaluation split"):
        score_task([], {})
