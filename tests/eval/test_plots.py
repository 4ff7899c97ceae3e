import base64
import hashlib
import re
import time

from eval.forgetting import find_worst_items
from eval.gate import GatePolicy, judge_last
from eval.plots import accuracy_curves, content_security_policy, heatmap, report_html
from eval.report import build_report
from tests.eval.factories import item, matrix_of, three_tasks

IMAGE = "e" * 64
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def page(matrix=None, images=None):
    matrix = matrix or three_tasks()
    one = item(1, images=(IMAGE,)).model_copy(update={"question": EVIL})
    worst = find_worst_items([one], {one.digest: "red"}, {one.digest: EVIL})
    verdict = judge_last(matrix, GatePolicy())
    report = build_report(matrix, verdict, worst_items=worst, training={"note": EVIL})
    return report_html(report, images)


def without_scripts(html):
    return re.sub(r"<script[^>]*>.*?</script>", "", html, flags=re.DOTALL)


def test_a_fragment_leaves_plotly_out_unless_asked():
    for plot in (heatmap, accuracy_curves):
        fragment = plot(three_tasks())
        assert len(fragment) < 30_000
        assert "<html" not in fragment
        assert len(plot(three_tasks(), include_plotlyjs=True)) > 1_000_000


def test_the_page_holds_the_matrix_as_a_table_with_n():
    html = without_scripts(page())
    table = html.split('<table class="matrix">')[1].split("</table>")[0]

    cells = re.findall(r"([\d.]+)<small>n=(\d+)</small>", table)
    assert cells == [
        (points, "200")
        for points in ("8.0", "25.5", "31.0", "91.5", "64.0", "88.5", "58.5", "71.0", "79.0")
    ]
    assert "BWT (divisor T)" in html
    assert "<b>-16.83</b>" in html


def test_the_page_escapes_what_people_and_models_wrote():
    assert EVIL not in page()
    assert "<img" not in without_scripts(page())


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
    assert policy.startswith("default-src 'none'; ")
    assert policy in html


def test_names_in_figures_are_escaped():
    matrix = matrix_of([EVIL], [[50.0]], n=10, stream="<b>x")

    for plot in (heatmap, accuracy_curves):
        assert EVIL not in plot(matrix)


def test_fifty_tasks_and_versions_take_less_than_five_seconds():
    rows = [[float((7 * i + 3 * j) % 100) for i in range(j + 1)] for j in range(50)]
    matrix = matrix_of([f"t{k}" for k in range(50)], rows, n=2000)

    started = time.perf_counter()
    page(matrix)

    assert time.perf_counter() - started < 5
