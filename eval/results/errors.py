"""What reading result folders refuses; part of the tree in `eval.errors`."""

from __future__ import annotations

from eval.errors import EvalError


class ResultsRefused(EvalError, ValueError):
    """A folder or file that cannot be read as results, or a result that is not there."""

    status = 422
    code = "invalid_results"


class ReferencesRefused(EvalError, ValueError):
    """The answers that count as right are not there, or cannot be read."""

    status = 422
    code = "invalid_references"


class PredictionsMismatch(EvalError, ValueError):
    """Predictions and references are not of the same questions."""

    status = 422
    code = "predictions_mismatch"
