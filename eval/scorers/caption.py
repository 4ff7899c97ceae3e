"""Captions: BLEU-1 to BLEU-4, ROUGE-L, CIDEr and, where Java is, METEOR.

BLEU comes from `sacrebleu`; ROUGE-L, CIDEr and METEOR from `pycocoevalcap`, whose METEOR 1.5 and
PTB tokenizer are Java programs. Without Java, captions are split here the way PTB splits English:
lower case, contractions apart, no punctuation.

The score of one item is ROUGE-L, the only figure that lies in [0, 1], is 1 for a copy of a
reference however short, and does not depend on the other items. Fixed: the best reference decides.
Published: the figure of MCITlib's UCIT is the plain mean of BLEU-1 to 4, METEOR, ROUGE-L and CIDEr
over all items, CIDEr on its own scale (10 is a copy). Quirks: ROUGE-L takes precision and recall
each from the reference that is best for it; brackets stay as words (`-lrb-`), since the list of
punctuation to drop is in upper case and the words are not. A mean above 100 points counts as 100.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.errors import CaptionPartMissing
from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer

MAX_CAPTION_CHARS = 10_000
"""A longer caption counts as empty, in every mode: ROUGE-L compares word by word."""

BLEU = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4")
_TOKEN = re.compile(
    r"\d\w*(?:[.,:/-]\w+)*|(?:[a-z]\.){2,}|n't(?!\w)|'(?:s|m|d|re|ve|ll)(?!\w)|can(?=not(?!\w))"
    r"|[^\W_](?:(?!n't(?!\w))[\w/-])*|[$%&#@+=]"
)
_LOG_CHARS = 300
_PACKAGES = ("sacrebleu", "pycocoevalcap")
_HINT = "Install them with `pip install 'retain[captions]'`."


@dataclass(frozen=True)
class CaptionFigures:
    """Figures by name: over all items in points, and by item from 0 to 1; CIDEr ten times these.

    BLEU over all items is no mean of items; ROUGE-L and CIDEr are. CIDEr weighs words by how few
    items have them, so it changes with the set of items and is 0 for one item alone.
    """

    overall: Mapping[str, float]
    items: Mapping[str, Mapping[str, float]]


def require_packages() -> None:
    """Raise CaptionPartMissing unless the packages that score captions are installed."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise CaptionPartMissing(
            f"captions need {' and '.join(missing)}, which is not installed here. {_HINT}"
        )


def tokens(text: str) -> str:
    """Return a caption's words, divided by single spaces; empty if it is too long."""
    if len(text) > MAX_CAPTION_CHARS:
        return ""
    return " ".join(_TOKEN.findall(text.lower().replace("’", "'")))


def rouge_l(caption: str, references: Sequence[str], repaired: bool = True) -> float:
    """Return ROUGE-L (beta 1.2), 0 to 1, of words as `tokens` gives them.

    `repaired`: the best reference; else the best precision and the best recall, of any of them.
    """
    given = [text for text in references if text]
    if not caption or not given:
        return 0.0
    rouge = _part("pycocoevalcap.rouge.rouge").Rouge()
    groups = [[text] for text in given] if repaired else [given]
    return float(max(rouge.calc_score([caption], group) for group in groups))


def caption_figures(
    captions: Mapping[str, str], references: Mapping[str, Sequence[str]], meteor: bool = False
) -> CaptionFigures:
    """Return the figures of captions by item.

    Args:
        captions: what the model wrote, by item, at least one.
        references: one or more per item, the same items.
        meteor: also METEOR, and for all figures the PTB tokenizer and ROUGE-L over all references
            at once, as the published ones have it.

    Raises:
        CaptionPartMissing: if a package is not installed, or Java for `meteor`.
    """
    kept = {key: text if len(text) <= MAX_CAPTION_CHARS else "" for key, text in captions.items()}
    if meteor:
        said, right = _ptb({key: [text] for key, text in kept.items()}), _ptb(references)
    else:
        said = {key: [tokens(text)] for key, text in kept.items()}
        right = {key: list(map(tokens, references[key])) for key in captions}
    parts = [_bleu(said, right), _rouge(said, right, repaired=not meteor), _cider(said, right)]
    if meteor:
        parts.append(_meteor(said, right))
    overall = {name: 100.0 * value for part in parts for name, value in part.overall.items()}
    items = {
        key: {name: value for part in parts for name, value in part.items[key].items()}
        for key in captions
    }
    return CaptionFigures(overall, items)


_Tokenised = Mapping[str, list[str]]


def _bleu(said: _Tokenised, right: _Tokenised) -> CaptionFigures:
    metric = _part("sacrebleu.metrics.bleu").BLEU(tokenize="none", smooth_method="none", force=True)
    return CaptionFigures(
        _bleu_of(metric, said, right),
        {key: _bleu_of(metric, {key: said[key]}, right) for key in said},
    )


def _bleu_of(metric: Any, said: _Tokenised, right: _Tokenised) -> dict[str, float]:
    width = max(len(right[key]) for key in said)
    streams = [
        [right[key][at] if at < len(right[key]) else None for key in said] for at in range(width)
    ]
    found = metric.corpus_score([said[key][0] for key in said], streams)
    values: dict[str, float] = {}
    for order, name in enumerate(BLEU, 1):
        shares = [percent / 100.0 for percent in found.precisions[:order]]
        values[name] = found.bp * math.prod(shares) ** (1.0 / order)
    return values


def _rouge(said: _Tokenised, right: _Tokenised, repaired: bool) -> CaptionFigures:
    items = {key: rouge_l(said[key][0], right[key], repaired) for key in said}
    return _figures("ROUGE-L", sum(items.values()) / len(items), items)


def _cider(said: _Tokenised, right: _Tokenised) -> CaptionFigures:
    mean, each = _part("pycocoevalcap.cider.cider").Cider().compute_score(right, said)
    return _figures("CIDEr", float(mean), dict(zip(said, map(float, each), strict=True)))


def _meteor(said: _Tokenised, right: _Tokenised) -> CaptionFigures:
    _need_java()
    program = _part("pycocoevalcap.meteor.meteor").Meteor()
    try:
        mean, each = program.compute_score(right, said)
    finally:  # the rest it does itself when it is dropped
        program.meteor_p.stdout.close()
        program.meteor_p.stderr.close()
    return _figures("METEOR", float(mean), dict(zip(said, map(float, each), strict=True)))


def _figures(name: str, overall: float, items: Mapping[str, float]) -> CaptionFigures:
    return CaptionFigures({name: overall}, {key: {name: value} for key, value in items.items()})


def _ptb(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return texts as `PTBTokenizer.tokenize` of pycocoevalcap does, which lets Java's log out."""
    _need_java()
    package = _part("pycocoevalcap.tokenizer.ptbtokenizer")
    lines = [" ".join(text.split()) for its in texts.values() for text in its]
    done = subprocess.run(
        ["java", "-cp", Path(package.__file__).parent / package.STANFORD_CORENLP_3_4_1_JAR,
         "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"],
        input="\n".join(lines), capture_output=True, encoding="utf-8",
    )  # fmt: skip
    if done.returncode:
        raise CaptionPartMissing(f"the PTB tokenizer failed: {done.stderr.strip()[-_LOG_CHARS:]}.")
    words = [
        " ".join(word for word in line.split() if word not in package.PUNCTUATIONS)
        for line in done.stdout.split("\n")
    ]
    left = iter(words)
    return {key: [next(left) for _ in its] for key, its in texts.items()}


def _need_java() -> None:
    if shutil.which("java") is None:
        raise CaptionPartMissing(
            "METEOR and published caption figures need Java (METEOR 1.5 and the PTB tokenizer are "
            "Java programs), and no program 'java' was found on PATH. Install a Java runtime, or "
            "use mode 'fixed', whose figures are BLEU, ROUGE-L and CIDEr."
        )


def _part(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        raise CaptionPartMissing(
            f"captions need the packages {' and '.join(_PACKAGES)}; {missing}. {_HINT}"
        ) from missing


def _fixed(item: EvalItem) -> Bound:
    references = list(map(tokens, item.references))
    return lambda answer: rouge_l(tokens(answer), references)


def _published(item: EvalItem) -> Bound:
    return lambda answer: published_scores([item], [answer])[0][0]


def published_scores(
    items: Sequence[EvalItem], answers: Sequence[str]
) -> tuple[list[float], float]:
    """Return the items' scores (0 to 1) and the points of all together: means of seven figures.

    CIDEr goes to 1000, so the points may exceed 100.

    Args:
        items: at least one.
        answers: one per item.

    Raises:
        CaptionPartMissing: see `caption_figures`.
    """
    captions = {item.digest: text for item, text in zip(items, answers, strict=True)}
    references = {item.digest: item.references for item in items}
    found = caption_figures(captions, references, meteor=True)
    scores = [_mean(found.items[item.digest]) for item in items]
    return scores, sum(found.overall.values()) / len(found.overall)


def _mean(figures: Mapping[str, float]) -> float:
    return min(1.0, sum(figures.values()) / len(figures))


SCORER = Scorer(_fixed, _published)
