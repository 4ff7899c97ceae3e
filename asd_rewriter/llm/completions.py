"""What a body of a chat completion says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_MOST_TOKENS = 10**9  # of one answer: the sums must fit the cache's integers


@dataclass(frozen=True)
class Answer:
    """A completion's text; `cut_off`: it ended at the length limit."""

    text: str
    cut_off: bool


class NoCompletion(Exception):
    """A body that is no chat completion, or one that was not finished.

    `used`: the tokens that it says were used all the same.
    """

    def __init__(self, text: str, used: tuple[int, int]) -> None:
        super().__init__(text)
        self.used = used


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
        raise NoCompletion(f"no chat completion but {seen!r}", held) from None
    if not isinstance(content, str):
        raise NoCompletion("no chat completion: its content is no text", held)
    used = _used(usage, held)
    if finish in ("abort", "error"):  # vLLM's, for what it had not finished when it ended
        raise NoCompletion("the endpoint aborted the request", used)
    if refused and not content.startswith("I"):
        content = "I cannot answer this."
    return Answer(content, finish == "length"), used


def _used(usage: Any, held: tuple[int, int]) -> tuple[int, int]:
    found = usage if isinstance(usage, dict) else {}
    prompt, completion = found.get("prompt_tokens"), found.get("completion_tokens")
    return _count(prompt, held[0]), _count(completion, held[1])


def _count(value: Any, otherwise: int) -> int:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else otherwise
