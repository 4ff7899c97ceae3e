"""The example in the docs is what the code makes of the measured one; see `make example-report`."""

import re
from pathlib import Path

from asd_rewriter.formats import AnswerFormat
from eval.compliance import RULES
from eval.pooling import pooled_superficial
from tests.eval import example_report
from tests.eval.made_up_report import example
from tests.eval.test_report_page import seen

DOCS = Path(__file__).resolve().parents[2] / "docs"


def without_drawings(page):
    return re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_the_markdown_is_true():
    assert (DOCS / "example-report.md").read_text() == example_report.markdown()


def test_the_page_is_true():
    page = (DOCS / "example-report.html").read_text()

    assert seen(without_drawings(page)) == seen(example_report.page())
    shown = set(re.findall(r'src="(data:[^"]+)"', page))
    assert shown == set(example_report.images().values())


def test_the_page_is_drawn_small_and_still():
    page, report = (DOCS / "example-report.html").read_text(), example_report.report()

    assert len(page) < 400_000
    assert "<script" not in page
    assert example_report.drawn(page) == page
    for split in report.splits:
        assert f"{split.lost} of {split.learned} lost</text>" in page
    assert page.count('class="main-svg"') >= 2 + len(report.matrix.tasks)


def test_the_made_up_report_tells_its_story():
    report = example().report
    science, signs, grounding = report.splits
    kept = {(it.task, it.format): it.now.percent for it in report.compliance}

    assert report.verdict.outcome == "block"
    assert science.superficial.low > 33
    assert signs.superficial.high < 50
    assert grounding.lost < 10
    assert kept["science", AnswerFormat.MULTIPLE_CHOICE] < 60
    assert pooled_superficial(report.splits).num_tasks == 3


def test_the_page_on_reports_tells_every_format_rule():
    text = " ".join((DOCS / "reports.md").read_text().split())

    assert [rule for rule in RULES.values() if rule not in text] == []
