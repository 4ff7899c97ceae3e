"""Chains, rank sums and tasks; a `replace` stands for all below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters_store.errors import LineageBroken
from adapters_store.lineage import Lineage, lineage_of
from adapters_store.store import VersionStore
from tests.adapters_store.factories import fields, publish_chain, write_attempt


def test_a_lineage_lists_versions_tasks_and_rank(store: VersionStore, tmp_path: Path) -> None:
    chain = publish_chain(store, tmp_path, [{"rank": 2}, {"rank": 3}, {"rank": 4}])
    found = lineage_of(store, store.get("demo", 3))
    assert found == chain
    assert found.tasks == ("task1", "task2", "task3")
    assert found.rank == 9
    assert lineage_of(store, store.get("demo", 2)).rank == 5


def test_a_replace_stands_for_everything_below(store: VersionStore, tmp_path: Path) -> None:
    loras: list[dict[str, Any]] = [{"rank": 2}, {"rank": 3, "kind": "replace"}, {"rank": 4}]
    chain = publish_chain(store, tmp_path, loras)
    assert [version.number for version in chain.effective] == [2, 3]
    assert chain.rank == 7
    assert chain.tasks == ("task1", "task2", "task3")


def test_branches_have_lineages_of_their_own(store: VersionStore, tmp_path: Path) -> None:
    first, second = publish_chain(store, tmp_path, [{}, {}]).versions
    branch = store.publish(write_attempt(tmp_path / "b", seed=9), fields(3, parent=first.digest))
    assert lineage_of(store, branch).versions == (first, branch)
    assert lineage_of(store, second).versions == (first, second)


def test_gaps_and_wrong_orders_are_refused(store: VersionStore, tmp_path: Path) -> None:
    first, second, third = publish_chain(store, tmp_path, [{}, {}, {}]).versions
    for versions in ((), (second, third), (first, third), (second, first)):
        with pytest.raises(LineageBroken):
            Lineage(versions)
