"""The example of docs/reports.md: what `make demo` gives for its third version.

`make example-report` draws it into docs/: the Markdown, and the page as a browser (`chromium`, or
that of $CHROMIUM) draws it, without the scripts, so that it is small. The report and the images of
its items are kept in docs/measured/demo; `python -m tests.eval.example_report STATE_DIR` takes both
from a demo's state folder before.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from deploy.demo.server import running_service
from eval.images import data_url
from eval.report import ForgettingReport
from eval.report_markdown import to_markdown
from eval.report_page import report_html
from service.client import RetainClient
from tests.bench.loop import free_port

DOCS = Path(__file__).resolve().parents[2] / "docs"
MEASURED = DOCS / "measured" / "demo"
VERSION = "/v1/streams/demo/versions/3/report"
_SCALED = (  # nothing draws anew when the width changes
    "<style>.svg-container { width: 100% !important; height: auto !important; } "
    ".main-svg { width: 100%; height: 100%; }</style>"
)


@cache
def report() -> ForgettingReport:
    """Return the report as it was measured."""
    return ForgettingReport.model_validate_json((MEASURED / "report.json").read_bytes())


def images() -> dict[str, str]:
    """Return the images of its items by digest, as data URLs."""
    return {it.stem: data_url(it.read_bytes(), it.name) for it in MEASURED.glob("*.png")}


def page() -> str:
    """Return its page, with the scripts that draw it."""
    return report_html(report(), images())


def markdown() -> str:
    """Return it as Markdown."""
    return to_markdown(report())


def drawn(page: str) -> str:
    """Return a page as a browser has drawn it, its scripts and what they load taken out."""
    still = re.sub(r"<script[^>]*>.*?</script>\n*|<style id=.*?</style>", "", page, flags=re.DOTALL)
    still = re.sub(r"script-src [^;]*; ", "", still).rstrip() + "\n"
    return still if _SCALED in still else still.replace("</head>", f"{_SCALED}</head>", 1)


def take(state_dir: Path) -> None:
    """Keep the report of a demo that has run, and the images that it shows."""
    with running_service(state_dir, free_port()) as service:
        key = (state_dir / "admin.key").read_text(encoding="utf-8").strip()
        found = ForgettingReport.model_validate(RetainClient(service.url, key).get(VERSION))
    MEASURED.mkdir(parents=True, exist_ok=True)
    for old in MEASURED.glob("*.png"):
        old.unlink()
    text = found.model_dump_json(indent=1) + "\n"
    (MEASURED / "report.json").write_text(text, encoding="utf-8")
    for digest in {digest for item in found.worst_items for digest in item.images}:
        (blob,) = (state_dir / "blobs").rglob(digest)
        (MEASURED / f"{digest}.png").write_bytes(blob.read_bytes())


def draw() -> None:
    """Write the example's Markdown, its drawn page and a picture of its beginning."""
    with tempfile.TemporaryDirectory(prefix="retain-example-") as name:
        whole = Path(name, "report.html")
        whole.write_text(page(), encoding="utf-8")
        browse = [
            os.environ.get("CHROMIUM", "chromium"), "--headless", "--no-sandbox", "--disable-gpu",
            "--hide-scrollbars", "--virtual-time-budget=10000", "--window-size=1200,1300",
            f"--user-data-dir={Path(name, 'home')}",
        ]  # fmt: skip
        picture = f"--screenshot={DOCS / 'images' / 'report.png'}"
        subprocess.run([*browse, picture, whole.as_uri()], check=True)
        dump = [*browse, "--dump-dom", whole.as_uri()]
        dumped = subprocess.run(dump, check=True, stdout=subprocess.PIPE, text=True)
    (DOCS / "example-report.html").write_text(drawn(dumped.stdout), encoding="utf-8")
    (DOCS / "example-report.md").write_text(markdown(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        take(Path(sys.argv[1]).resolve())
    draw()
