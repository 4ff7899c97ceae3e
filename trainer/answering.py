"""Answers of versions that no engine serves: a worker that reads questions, writes answers.

Both as JSON, one object per line. On stdin, requests:

    {"max_tokens": 64, "questions": [{"id": "...", "text": "...", "images": ["<digest>"]}]}

On stdout one line per question, as answers come: `{"id": "...", "text": "..."}`. The worker ends
when stdin does (exit code 0), with its parent, or with a last line
`{"error": {"reason": "invalid_input", "message": "..."}}` (exit code 1; reasons are
`trainer.spec.ExitReason`). Whatever libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.errors import InputError, TrainerError, reason_of
from trainer.processes import die_with_parent
from trainer.spec import AnswerSpec
from trainer.worker import prepare_environment

_CUT_CHARACTER = (
    "\ufffd"  # what decoding makes of an answer's torn last character; engines: nothing
)


class AskedQuestion(BaseModel):
    """One question: the id under which it is answered, its whole text, its images' digests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    images: tuple[str, ...] = ()


class AnswerRequest(BaseModel):
    """Questions, and how many tokens an answer may have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_tokens: int = Field(ge=1)
    questions: tuple[AskedQuestion, ...]


class Answerer:
    """A version of a model, composed and ready to be asked."""

    def __init__(self, spec: AnswerSpec) -> None:
        """Load the base with its lineage, on the GPU where there is one."""
        import torch

        from trainer.greedy import Prompter
        from trainer.modeling import DTYPES, load_base, load_processor

        self._prompter = Prompter(load_processor(spec.base), Path(spec.blob_dir))
        model = load_base(spec.base, dtype=DTYPES[spec.precision], lineage=spec.lineage)
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu")
        self._batch_size = spec.batch_size

    def answers(self, request: AnswerRequest) -> Iterator[tuple[AskedQuestion, str]]:
        """Yield each question with its greedy answer, batch by batch."""
        from trainer.greedy import alike

        for batch in alike(request.questions, self._batch_size):
            yield from zip(batch, self._ask(batch, request.max_tokens), strict=True)

    def _ask(self, questions: Sequence[AskedQuestion], max_tokens: int) -> list[str]:
        from trainer.greedy import generate, until_end

        inputs = self._prompter.encode(questions, self._model)
        tokens_BT = generate(self._model, inputs, max_tokens)
        answers_BT = tokens_BT[:, inputs["input_ids"].shape[1] :].tolist()
        texts = [self._prompter.decode(until_end(self._model, ids)) for ids in answers_BT]
        return [text.rstrip(_CUT_CHARACTER) for text in texts]


def serve(spec_path: Path) -> int:
    """Answer what comes on stdin as the version of a spec; return the exit code."""
    die_with_parent()
    out = _private_stdout()
    try:
        spec = _read(spec_path)
        prepare_environment(spec.base)
        _answer_all(spec, sys.stdin, out)
    except Exception as error:
        if not isinstance(error, TrainerError):
            traceback.print_exc()
        message = f"{type(error).__name__}: {error}"[:2000]
        _write(out, {"error": {"reason": reason_of(error), "message": message}})
        return 1
    return 0


def _answer_all(spec: AnswerSpec, lines: Iterable[str], out: TextIO) -> None:
    answerer: Answerer | None = None
    for line in lines:
        request = _request(line)
        answerer = answerer or Answerer(spec)
        for question, text in answerer.answers(request):
            _write(out, {"id": question.id, "text": text})


def _read(spec_path: Path) -> AnswerSpec:
    try:
        return AnswerSpec.model_validate_json(spec_path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise InputError(f"Cannot use the answer spec {spec_path}: {error}") from error


def _request(line: str) -> AnswerRequest:
    try:
        return AnswerRequest.model_validate_json(line)
    except ValidationError as error:
        raise InputError(f"A line on stdin is no request: {error}") from error


def _private_stdout() -> TextIO:
    """Return stdout for answers alone; what others print from now on goes to stderr."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


def _write(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()
