"""The trainer's errors: what was refused, the value seen, the limit, the way out.

    TrainerError
    +-- InputError            a file or folder the spec names cannot be used
    |   +-- RowError          one sample cannot become a training row
    |   +-- DeltaError        an adapter of the lineage does not fit the base
    |   +-- StateError        the parent's method state does not fit the method
    +-- ConfigError           the method's config does not fit, or leaves nothing to do
    +-- TargetError           `target_modules` matches nothing that can be adapted
    +-- EnvironmentRefused    this machine lacks something the run needs
    +-- NonFiniteLoss         the loss became NaN or infinite
    +-- Stopped               SIGTERM was obeyed; a resume continues from the last checkpoint

`reason` is the end a supervisor records for an uncaught error of that class.
"""

from __future__ import annotations

from trainer.spec import ExitReason


class TrainerError(Exception):
    """Something a user of the trainer can meet and act on."""

    reason: ExitReason = "crashed"


class InputError(TrainerError):
    """A file or folder that the spec names is missing or cannot be read."""

    reason: ExitReason = "invalid_input"


class RowError(InputError):
    """One sample cannot become a training row."""


class DeltaError(InputError):
    """An adapter of the lineage is no plain LoRA, or does not fit the base."""


class StateError(InputError):
    """The parent's method state does not fit this method or its config."""


class ConfigError(TrainerError):
    """The method or its config is unknown or out of range, or leaves nothing to do on this base."""

    reason: ExitReason = "invalid_input"


class TargetError(TrainerError):
    """No module of the model matches a requested target."""

    reason: ExitReason = "invalid_input"


class EnvironmentRefused(TrainerError):
    """This machine lacks something the run needs."""


class NonFiniteLoss(TrainerError):
    """The loss became NaN or infinite; the weights of this attempt are of no use."""

    reason: ExitReason = "nan_loss"


class Stopped(TrainerError):
    """SIGTERM was obeyed; a resume continues from the last checkpoint."""

    reason: ExitReason = "checkpointed"


def reason_of(error: BaseException) -> ExitReason:
    """Return the end that an uncaught error stands for."""
    if isinstance(error, TrainerError):
        return error.reason
    torch_says_so = type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error)
    if isinstance(error, MemoryError) or torch_says_so:
        return "out_of_memory"
    return "crashed"
