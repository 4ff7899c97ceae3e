"""The tree's promises to the service: a status, a code, a message, and pickling."""

from __future__ import annotations

import pickle

import pytest

from adapters_store import errors


def _classes(root: type[errors.StoreError]) -> list[type[errors.StoreError]]:
    return [root, *(found for child in root.__subclasses__() for found in _classes(child))]


@pytest.mark.parametrize("kind", _classes(errors.StoreError))
def test_every_error_has_status_code_and_message_and_pickles(kind: type[errors.StoreError]) -> None:
    error = kind("rank 200 is over the limit 128")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, str(again)) == (error.message, error.message)
    assert kind.status in {404, 422, 500}
    assert kind.code.replace("_", "").isalpha()


def test_codes_are_not_shared() -> None:
    codes = [kind.code for kind in _classes(errors.StoreError)]
    assert len(codes) == len(set(codes))
