"""Exact match without spaces and periods (MCITlib's finance task, StockQA).

Published: the lower-cased answer, spaces and periods removed, equals the lower-cased truth.
Quirks: the truth keeps its spaces and periods, so such a truth can never be matched; an empty
answer equals an empty truth, and 3.5 is 35. Fixed: both lose them, but for periods before digits.
"""

from __future__ import annotations

import re

from eval.items import EvalItem
from eval.scorers.binding import Bound, Scorer, equality, or_said

_PERIOD = re.compile(r"\.(?!\d)")


def _unspaced(text: str) -> str:
    return _PERIOD.sub("", "".join(text.lower().split()))


def _published(item: EvalItem) -> Bound:
    accepted = {text.lower() for text in item.references}
    return lambda answer: float(answer.lower().replace(" ", "").replace(".", "") in accepted)


_FIXED = equality(_unspaced)
SCORER = Scorer(_FIXED, _published, or_said(_FIXED), version=2)
