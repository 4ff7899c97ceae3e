"""The canary: an engine serves a version only after it has reproduced that version's answers.

An engine without the adapter, with another version's adapter or with changed weights answers
differently, in text or in log-probabilities, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from service.engines.client import EngineAnswer
from service.errors import EngineProofFailed
from trainer.spec import Canary, CanaryPrompt

DEFAULT_TOLERANCE = 0.05
"""Largest difference of a token's log-probability (nats) that counts as the same."""

Ask = Callable[[CanaryPrompt, int], EngineAnswer]
"""Asks an engine one prompt for at most so many tokens, greedily."""


@dataclass(frozen=True)
class Proof:
    """A passed canary: prompts asked, the largest log-probability difference in nats."""

    prompts: int
    max_logprob_gap: float
    distinguishes_parent: bool
    distinguishes_base: bool


def prove(canary: Canary, ask: Ask, tolerance: float = DEFAULT_TOLERANCE) -> Proof:
    """Return the proof that `ask` answers as the canary's version; raises EngineProofFailed."""
    gaps = [_check(prompt, ask(prompt, canary.max_tokens), tolerance) for prompt in canary.prompts]
    return Proof(len(gaps), max(gaps), canary.distinguishes_parent, canary.distinguishes_base)


def _check(prompt: CanaryPrompt, answer: EngineAnswer, tolerance: float) -> float:
    if answer.text.strip() != prompt.answer.strip():
        raise EngineProofFailed(_explain(prompt, answer))
    gap = _gap(prompt.logprobs, answer.logprobs)
    if gap > tolerance:
        raise EngineProofFailed(
            f"the engine gives the canary's answer {prompt.answer[:80]!r} other probabilities: "
            f"they differ by {gap:.4f} nats, at most {tolerance} is accepted. The version is not "
            "served; check that the engine's base, dtype and adapter are those it was trained on."
        )
    return gap


def _gap(expected: tuple[float, ...], seen: tuple[float, ...]) -> float:
    # The engine also reports the token that ends the answer; the canary leaves it out.
    if len(seen) < len(expected):
        return math.inf
    gaps = [abs(a - b) for a, b in zip(expected, seen, strict=False)]
    return math.inf if any(map(math.isnan, gaps)) else max(gaps, default=0.0)


def _explain(prompt: CanaryPrompt, answer: EngineAnswer) -> str:
    others = {"parent": prompt.parent_answer.strip(), "base model": prompt.base_answer.strip()}
    seen = answer.text.strip()
    alike = [name for name, text in others.items() if text == seen]
    hint = f", which is what its {' and its '.join(alike)} answered" if alike else ""
    return (
        f"the engine does not serve this version: on a canary prompt it answers {seen[:80]!r}"
        f"{hint}; {prompt.answer.strip()[:80]!r} was expected. The version is not served; check "
        "that the engine loaded its adapter, then ask again."
    )
