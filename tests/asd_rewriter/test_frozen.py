"""The frozen rows: what the rules make of them is what was read and found good."""

from __future__ import annotations

import pytest

from tests.asd_rewriter.frozen import EXAMPLES, FOLDER, SETS, examples, lines, rewritten


@pytest.mark.parametrize("name", SETS)
def test_rules_make_what_was_read(name: str) -> None:
    text = (FOLDER / f"{name}.expected.jsonl").read_text(encoding="utf-8")
    assert lines(name) == text.splitlines()


def test_page_of_examples_is_up_to_date() -> None:
    assert EXAMPLES.read_text(encoding="utf-8") == examples()


def test_most_of_the_frozen_rows_are_rewritten() -> None:
    report = rewritten("rows").report
    assert report.turns == 500
    assert report.converted > 440  # captions and other languages stay
    assert set(report.rejects) <= {f"{it}:not_english" for it in report.converted_by_format} | {
        "short_answer:question_needs_its_options",
        "yes_no:yes_no_options",
        "yes_no:all_options_right",
    }
