import pickle

import pytest

from eval import errors
from eval.errors import EvalError


def all_errors(base=EvalError):
    return [base, *(found for child in base.__subclasses__() for found in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_has_status_and_code_and_survives_pickling(kind):
    error = kind("what was refused")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert again.message == str(again) == "what was refused"
    assert 400 <= again.status < 600


def test_codes_are_unique_and_only_a_lost_engine_is_worth_a_retry():
    kinds = all_errors()

    assert len({kind.code for kind in kinds}) == len(kinds)
    assert [kind for kind in kinds if kind.retryable] == [errors.EngineGone]
