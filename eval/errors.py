"""Errors of evaluation. Each class fixes an HTTP status and a code; `service` renders them.

    EvalError
    +-- InvalidMatrix         a matrix whose rows and columns do not fit together
    +-- MatrixHole            a number was asked for whose cells were never measured
    +-- InvalidScores         item scores that cannot be compared
    +-- InvalidGateInput      two rows that cannot be compared
    +-- InvalidItems          items that cannot be scored together as one task
    +-- CaptionPartMissing    a caption figure needs software that is not installed
    +-- PredictionsMissing    scoring was asked for, but some items have no answer
    +-- ItemImageMissing      an item names an image that the blob folder does not hold
    +-- ConstraintUnsupported an answer was to be forced by a predictor that cannot
    +-- EngineError
        +-- EngineGone        the engine did not answer within the retry budget; a resume helps
        +-- EngineRefused     the engine answered with an error that a retry cannot change
        +-- WorkerFailed      the offline worker ended by itself, or answers nonsense
            +-- WorkerOutOfMemory

A message says what was refused, the value seen, the limit and the way out.
"""

from __future__ import annotations


class EvalError(Exception):
    """Base of the tree. Takes one message, so that every error survives pickling."""

    status = 500
    code = "evaluation_error"
    retryable = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidMatrix(EvalError):
    """Rows and columns of an accuracy matrix do not fit together."""

    status = 422
    code = "invalid_matrix"


class MatrixHole(EvalError, LookupError):
    """A summary needs a cell that was never measured."""

    status = 422
    code = "matrix_hole"


class InvalidScores(EvalError, ValueError):
    """Item scores are outside [0, 1], or two versions were not scored on the same items."""

    status = 422
    code = "invalid_scores"


class InvalidGateInput(EvalError, ValueError):
    """The two rows given to the gate cannot be compared."""

    status = 422
    code = "invalid_gate_input"


class InvalidItems(EvalError, ValueError):
    """Items of several tasks or metrics, or with one id twice, given as one task."""

    status = 422
    code = "invalid_items"


class CaptionPartMissing(EvalError, ImportError):
    """A caption figure needs a package or a program that is not installed."""

    status = 501
    code = "caption_part_missing"


class PredictionsMissing(EvalError, LookupError):
    """Some items have no prediction; a score over the rest would mislead."""

    status = 422
    code = "predictions_missing"


class ItemImageMissing(EvalError, LookupError):
    """An item's image is not in the blob folder, or is no image an engine can read."""

    status = 422
    code = "item_image_missing"


class ConstraintUnsupported(EvalError, ValueError):
    """An item forces its answer, and the predictor cannot."""

    status = 422
    code = "constraint_unsupported"


class EngineError(EvalError):
    """The engine gave no usable answer."""

    status = 502
    code = "engine_error"


class EngineGone(EngineError, ConnectionError):
    """The engine could not be reached, or kept failing, within the retry budget."""

    status = 503
    code = "engine_gone"
    retryable = True


class EngineRefused(EngineError):
    """The engine refused a request, or its answer is no chat completion."""

    code = "engine_refused"


class WorkerFailed(EngineError):
    """The offline worker could not be started, crashed, or wrote what is no answer."""

    code = "offline_worker_failed"


class WorkerOutOfMemory(WorkerFailed):
    """The offline worker had too little memory for the model or a batch."""

    status = 507
    code = "out_of_memory"
