"""The published benchmarks: their tasks in the order of learning, and how each is scored.

CoIN: arXiv 2403.08350. UCIT, MLLM-DCL and MLLM-ACL as MCITlib runs them: arXiv 2508.07307.
TriGap: arXiv 2605.26110.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from asd_rewriter.cards import Metric

BENCHMARKS: Mapping[str, Mapping[str, Metric | None]] = {
    "CoIN": {
        "ScienceQA": "option_letter",
        "TextVQA": "vqa_soft",
        "ImageNet": "class_name",
        "GQA": "gqa",
        "VizWiz": "vizwiz",
        "Grounding": "iou",
        "VQAv2": "vizwiz",  # the same rule
        "OCRVQA": "ocr_vqa",
    },
    "UCIT": {
        "ImageNet-R": "exact_match",
        "ArxivQA": "exact_match",
        "VizWiz": "caption",
        "IconQA": "exact_match",
        "CLEVR": "exact_match",
        "Flickr30k": "caption",
    },
    "MLLM-DCL": {
        "RS": "contains_words",
        "Med": "contains",
        "AD": "contains_words",
        "Sci": "map_qa",
        "Fin": "exact_unspaced",
    },
    "MLLM-ACL": dict.fromkeys(("OCR", "Math", "VP", "APP")),
    "TriGap": dict.fromkeys(
        ("PMCVQA", "DocVQA", "ChartQA", "IconQA", "InfographicVQA", "ArxivQA", "Roadside",
         "ChemVQA", "FloodNetVQA", "CLEVR")
    ),
}  # fmt: skip
"""Without a metric where its rule is not known; it is then taken from the references' form."""
_SAME = {
    "vizcap": "vizwiz",
    "vizwizcaption": "vizwiz",
    "clevrmath": "clevr",
    "refcoco": "grounding",
}
_NUMBERED = re.compile(r"(\d{1,3})[_.\- ]+(?=\D)")


def plain_name(name: str) -> str:
    """Return a task's name as names are compared: `8_OCR-VQA` is `ocrvqa`."""
    plain = re.sub(r"[^a-z0-9]", "", without_number(name).casefold())
    return _SAME.get(plain, plain)


def number_of(name: str) -> int | None:
    """Return the number before a name: 8 of `8_OCRVQA`."""
    found = _NUMBERED.match(name)
    return int(found[1]) if found else None


def without_number(name: str) -> str:
    """Return a name without the number before it."""
    return _NUMBERED.sub("", name, count=1)


def benchmark_of(tasks: Iterable[str]) -> str | None:
    """Return the benchmark that all the tasks are of; None if there is none, or more than one."""
    names = {plain_name(task) for task in tasks}
    fitting = [
        benchmark
        for benchmark, known in BENCHMARKS.items()
        if names and names <= {plain_name(task) for task in known}
    ]
    return fitting[0] if len(fitting) == 1 else None


def metric_in(benchmark: str | None, task: str) -> Metric | None:
    """Return how a benchmark scores a task."""
    known = BENCHMARKS.get(benchmark or "", {})
    return next((it for name, it in known.items() if plain_name(name) == plain_name(task)), None)
