"""The training spec: one fully resolved request, and the files an attempt leaves behind.

Service and trainer share these files only. An attempt's folder (`output_dir`) holds:
`spec.json` (this), `events.jsonl` (progress, appended), `trainer.log`, `process.json` (the
supervisor's pid and start time), `checkpoints/`, then `delta/` (a PEFT folder), `state/` (method
state), `canary.json`, `result.json` (written last: its presence means complete) and `exit.json`
(written by the supervisor when the trainer has ended, however it ended). `outcome.json` is the
worker's own last word to its supervisor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EXIT_RESUME = 75
"""Exit code of a trainer that wrote a checkpoint on SIGTERM and wants to be resumed."""

ExitReason = Literal[
    "succeeded", "checkpointed", "out_of_memory", "nan_loss", "invalid_input", "killed", "crashed"
]

Precision = Literal["fp32", "bf16"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseModelSpec(_Frozen):
    """The base model: a local folder, where it came from, and the digest of its files."""

    path: str
    source: str
    revision: str | None = None
    digest: str


class Hyperparameters(_Frozen):
    """How one task is trained. One step is `batch_size * gradient_accumulation * ranks` rows.

    `replay_bytes` is what rows of earlier tasks, trained again with this one's, may take on
    disk; 0 keeps and replays none.
    """

    epochs: float = Field(default=1.0, gt=0, le=100)
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    batch_size: int = Field(default=16, ge=1, le=4096)
    gradient_accumulation: int = Field(default=1, ge=1, le=1024)
    warmup_fraction: float = Field(default=0.03, ge=0, lt=1)
    max_grad_norm: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    max_length: int = Field(default=2048, ge=16, le=131072)
    precision: Precision = "fp32"
    seed: int = Field(default=0, ge=0, lt=2**31)
    ranks: int = Field(default=1, ge=1, le=64)
    zero_stage: Literal[2, 3] = 2
    checkpoint_every_steps: int = Field(default=50, ge=1)
    replay_bytes: int = Field(default=0, ge=0, le=2**40)

    @property
    def rows_per_step(self) -> int:
        """Rows that all ranks together take in one optimizer step."""
        return self.batch_size * self.gradient_accumulation * self.ranks


class TrainSpec(_Frozen):
    """Everything a training attempt needs, defaults filled in.

    `lineage` lists the deltas (PEFT folders) below this one, oldest first; `state_dir` is the
    parent's method state. `corpus` and `canary_samples` are JSON lines of `Sample`;
    an image's file is `blob_dir / digest[:2] / digest`.
    """

    job_id: str
    stream: str
    task: str
    base: BaseModelSpec
    lineage: tuple[str, ...] = ()
    state_dir: str | None = None
    method: str
    method_config: dict[str, Any]
    hyperparameters: Hyperparameters
    corpus: str
    canary_samples: str
    blob_dir: str
    output_dir: str
    instructions: dict[str, str] = Field(default_factory=dict)


class AnswerSpec(_Frozen):
    """Which version shall answer: its base, its deltas (folders, oldest first), its precision.

    An image's file is `blob_dir / digest[:2] / digest`; `batch_size` questions are asked at once.
    """

    base: BaseModelSpec
    lineage: tuple[str, ...] = ()
    blob_dir: str
    precision: Precision = "fp32"
    batch_size: int = Field(default=8, ge=1, le=1024)


class CanaryPrompt(_Frozen):
    """One prompt with the greedy answer of this version, its parent and the base.

    `question` carries its instruction; `images` are digests. `logprobs` are of this version's
    answer tokens, natural log; an engine reproduces them within a tolerance.
    """

    question: str
    images: tuple[str, ...]
    answer: str
    logprobs: tuple[float, ...]
    parent_answer: str
    base_answer: str


class Canary(_Frozen):
    """Prompts on which a version differs from its parent and base, where such were found.

    `distinguishes_parent` and `distinguishes_base` say whether any prompt does; `dtype` is the
    precision in which the answers were computed.
    """

    prompts: tuple[CanaryPrompt, ...] = Field(min_length=1)
    max_tokens: int
    distinguishes_parent: bool
    distinguishes_base: bool
    dtype: Precision = "fp32"


class TrainResult(_Frozen):
    """A complete attempt's summary: steps, wall seconds, last losses (where known), its files.

    `peak_memory_bytes` is the largest resident size of rank 0's process: neither the memory of
    other ranks and of data workers, nor a GPU's, is in it.
    """

    steps: int
    seconds: float
    peak_memory_bytes: int
    final_loss: float | None
    final_penalty: float | None = None
    resumed_from_step: int | None = None
    trained_parameters: int
    files: dict[str, str]  # relative path -> SHA-256 hex


class ExitRecord(_Frozen):
    """How the trainer ended: exit code or signal, a classified reason, the last log lines.

    `message` is the trainer's own last word, where it had one.
    """

    code: int | None
    signal: int | None
    reason: ExitReason
    ended_at: str
    log_tail: tuple[str, ...] = ()
    message: str | None = None


class ProcessRecord(_Frozen):
    """`process.json`: which process supervises an attempt, and the process group it started.

    `start_time` is in clock ticks since boot (`process_start_time`): a pid that was given to
    another process has another start time. `pgid` is the trainer's group, for a last SIGKILL.
    """

    pid: int
    start_time: int
    pgid: int

    def alive(self) -> bool:
        """Return whether that very process still runs (a zombie does not)."""
        return process_start_time(self.pid) == self.start_time


class Outcome(_Frozen):
    """`outcome.json`: how a worker says it ended. `code` is its exit code."""

    code: int
    reason: ExitReason
    message: str


def comparable(answer: str) -> str:
    """Return what a canary compares of a greedy answer: its text without U+FFFD, stripped.

    Of an answer that ends within a character, transformers writes the rest as U+FFFD, vLLM
    nothing.
    """
    return answer.replace("\ufffd", "").strip()


def process_start_time(pid: int) -> int | None:
    """Return when process `pid` started, in clock ticks since boot; None when it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the command's name may hold spaces
    return None if fields[0] in "ZX" else int(fields[19])


def read_spec(path: Path) -> TrainSpec:
    """Return the spec stored at `path`; raises pydantic's ValidationError when it does not fit."""
    return TrainSpec.model_validate_json(path.read_text(encoding="utf-8"))
