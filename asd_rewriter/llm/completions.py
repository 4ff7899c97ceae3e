"""What a body of a chat completion says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A completion's text; `cut_off`: it ended at the length limit."""

    text: str
    cut_off: bool


class NoCompletion(Exception):
    """A body that is no chat completion, or one that was not finished."""


def read_completion(text: str, held: tuple[int, int]) -> tuple[Answer, tuple[int, int]]:
    """Return the answer in a body, and the prompt and completion tokens it says were used.

    Tokens that it does not say count as `held`. Raises NoCompletion.
    """
    try:
        found = json.loads(text)
        choice, usage = found["choices"][0], found.get("usage")
        message, finish = choice["message"], choice.get("finish_reason")
        content = message.get("content") or message.get("refusal") or ""
        refused = message.get("refusal") or finish == "content_filter"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        seen = " ".join(text[:1000].split())[:120]
        raise NoCompletion(f"no chat completion but {seen!r}") from None
    if not isinstance(content, str):
        raise NoCompletion("no chat completion: its content is no text")
    if finish == "abort":  # vLLM's, for what it had not finished when it ended
        raise NoCompletion("the endpoint aborted the request")
    if refused and not content.startswith("I"):
        content = "I cannot answer this."
    used = usage if isinstance(usage, dict) else {}
    prompt, completion = used.get("prompt_tokens"), used.get("completion_tokens")
    return Answer(content, finish == "length"), (
        _count(prompt, held[0]),
        _count(completion, held[1]),
    )


def _count(value: Any, otherwise: int) -> int:
    return value if type(value) is int and value >= 0 else otherwise
