import base64
import hashlib
import re
from html import unescape

import pytest

from eval.compliance import format_compliance
from eval.forgetting import find_worst_items
from eval.report import build_report
from eval.report_page import (
    MAX_SPLITS_BY_KIND,
    TASKS_PER_TABLE,
    content_security_policy,
    report_html,
)
from tests.eval.factories import answered, item, matrix_of, three_tasks, verdict_of
from tests.eval.made_up_report import example
from tests.eval.test_plots import split

IMAGE = "e" * 64
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def page(matrix=None, images=None, **fields):
    matrix = matrix or three_tasks()
    one = item(1, images=(IMAGE,)).model_copy(update={"question": EVIL})
    worst = find_worst_items(
        [one], answered([one], {one.digest: "red"}), answered([one], {one.digest: EVIL})
    )
    report = build_report(
        matrix,
        verdict_of(matrix),
        worst_items=worst,
        training={"note": EVIL},
        **fields,
    )
    return report_html(report, images)


@pytest.fixture(scope="module")
def shown():
    return without_scripts(report_html(example().report, example().images))


def without_scripts(html):
    return re.sub(r"<script[^>]*>.*?</script>", "", html, flags=re.DOTALL)


def seen(html):
    """The text that a reader sees."""
    bare = re.sub(r"<style>.*?</style>|<!--.*?-->", "", without_scripts(html), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", bare)).split())


def test_the_page_says_first_what_matters(shown):
    text = seen(shown)
    places = [
        text.index(part)
        for part in (
            "example@4", "Gate: blocked", "2 of 3 old tasks lost clearly against example@3",
            "Style or knowledge", "What to do", "Now (MFN)", "Change per task",
            "Lost style or lost knowledge", "Kept to the format asked for",
            "Right before, wrong now", "Accuracy over the stages", "Accuracy matrix",
            "All summaries", "What was trained",
        )
    ]  # fmt: skip

    assert places == sorted(places)
    assert "the answers are made up" in text


def test_the_page_holds_the_matrix_as_a_table_with_interval_and_n():
    table = page().split('<table class="matrix">')[1].split("</table>")[0]

    cells = re.findall(r"([\d.]+)<small>([\d.]+ to [\d.]+)<br>n=(\d+)</small>", table)
    assert [points for points, _, _ in cells] == [
        "8.0", "25.5", "31.0", "91.5", "64.0", "88.5", "58.5", "71.0", "79.0",
    ]  # fmt: skip
    assert {n for _, _, n in cells} == {"200"}
    assert cells[6][1] == "51.6 to 65.1"


def test_wide_matrices_are_told_in_several_tables():
    tasks = [f"t{k}" for k in range(TASKS_PER_TABLE + 1)]
    rows = [[50.0] * (k + 1) for k in range(len(tasks))]

    assert page(matrix_of(tasks, rows, n=9)).count('<table class="matrix">') == 2


@pytest.mark.parametrize("table", range(5))
def test_no_table_prints_a_figure_without_its_n(shown, table):
    body = re.findall(r"<table.*?</table>", shown, flags=re.DOTALL)[table]
    cells = re.findall(r'<td class="number[^"]*">(.*?)</td>', body, flags=re.DOTALL)
    texts = [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells]

    figures = [text for text in texts if re.search(r"\d[.]\d|%", text)]
    assert all("n=" in text for text in figures), figures


def test_splits_show_raw_chance_corrected_with_interval_and_n():
    html = page(splits=[split(before=4), split("signs", lost=3, probed=0)])
    text = seen(html.split('id="split-figure"')[1].split("</table>")[0])

    assert "science 40 of 100 40 asked again 75 % 60 to 86 n=40 10 % 4 to 23 n=40 72 %" in text
    assert "signs 3 of 100 0 asked again cannot be told n=0" in text


def test_a_report_without_split_compliance_and_verdict_says_so():
    text = seen(report_html(build_report(three_tasks())))

    assert "Not judged: the gate needs the scores of single items." in text
    assert "Not measured: no lost answer was asked again." in text
    assert "Gate policy" not in text


def test_compliance_shows_both_sides(shown):
    items = [item(k) for k in range(20)]
    right = {it.digest: "red" for it in items}
    now = right | {it.digest: "It is as red as a bus." for it in items[:15]}
    text = seen(
        page(compliance=format_compliance(items, {items[0].task: now}, {items[0].task: right}))
    )

    assert "colours short answer 100.0 % 83.9 to 100.0 n=20 25.0 % 11.2 to 46.9 n=20 -75.0" in text


def test_kinds_of_probes_are_left_out_for_many_tasks():
    splits = example().report.splits
    many = [splits[0].model_copy(update={"task": f"t{k}"}) for k in range(MAX_SPLITS_BY_KIND + 1)]

    assert "answer space forced 8" in seen(page(splits=many[1:]))
    assert "answer space forced 8" not in seen(page(splits=many))
    assert "Each kind of question by itself is in the CSV." in seen(page(splits=many))


def test_the_page_escapes_what_people_and_models_wrote():
    html = page(notes=(EVIL,), digest=EVIL)

    assert EVIL not in html
    assert "<img" not in without_scripts(html)


def test_names_in_figures_cannot_end_the_script():
    html = page(matrix_of([EVIL], [[50.0]], n=10, stream="</script>"))

    assert len(re.findall(r"</script>", html)) == 2


def test_the_page_loads_nothing():
    html = page(images={IMAGE: "data:image/png;base64,AAAA"})

    assert re.findall(r"<(?:script|img|link|iframe)[^>]*?(?:src|href)=\"(?!data:)", html) == []
    assert '<img src="data:image/png;base64,AAAA"' in html


def test_images_that_are_no_data_url_are_left_out():
    assert "<img" not in without_scripts(page(images={IMAGE: "https://example.org/x.png"}))


def test_the_policy_allows_exactly_the_scripts_of_the_page():
    html = page()
    policy = content_security_policy(html)

    scripts = re.findall(r"<script[^>]*>(.*?)</script>", html, flags=re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert len(hashes) == 2
    assert policy.startswith("default-src 'none'; ")
    assert policy in html


def test_every_figure_has_its_place(shown):
    script = re.findall(r"<script>(const FIGURES.*?)</script>", report_html(example().report), re.S)
    names = re.findall(r'"((?:curve-\d+|heatmap|split-figure))":\{"data"', script[0])

    assert sorted(names) == sorted(re.findall(r'<div id="([^"]+)"', shown))
