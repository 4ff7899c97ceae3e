"""VizWiz and VQAv2 as CoIN scores them: exact match with one answer, not the soft score.

Published: upper-cased texts are equal. Quirks: a trailing period is wrong, one of ten people's
answers decides, an empty answer equals an empty truth. `vqa_soft` is the official measure.
"""

from __future__ import annotations

from eval.scorers.binding import Scorer, equality, or_said
from eval.scorers.exact_match import FIXED, upper

SCORER = Scorer(FIXED, equality(upper, empty=True), or_said(FIXED), version=2)
