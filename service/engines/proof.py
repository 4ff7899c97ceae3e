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
from trainer.spec import Canary, CanaryPrompt, comparable


@dataclass(frozen=True)
class Tolerance:
    """Differences of log-probabilities (nats) that count as the same: their mean over all tokens
    of the canary, and the largest."""

    mean: float
    largest: float


EXACT = Tolerance(mean=0.05, largest=0.05)
ROUNDED = Tolerance(mean=0.05, largest=0.5)
"""Where trainer or engine computed in 16 bits: rounding alone moves single tokens by 0.1 nats and
more, their mean by far less."""
_FULL_PRECISION = ("float32", "float")

Ask = Callable[[CanaryPrompt, int], EngineAnswer]
"""Asks an engine one prompt for at most so many tokens, greedily."""


@dataclass(frozen=True)
class Proof:
    """A passed canary: prompts asked, differences of log-probabilities in nats."""

    prompts: int
    max_logprob_gap: float
    mean_logprob_gap: float
    distinguishes_parent: bool
    distinguishes_base: bool


def prove(canary: Canary, ask: Ask, engine_dtype: str = "float32") -> Proof:
    """Return the proof that `ask` answers as the canary's version; raises EngineProofFailed.

    `engine_dtype` is the engine's `--dtype`; anything but float32 (`auto` on a GPU) is taken for
    16 bits.
    """
    gaps = []
    for prompt in canary.prompts:
        answer = ask(prompt, canary.max_tokens)
        if comparable(answer.text) != comparable(prompt.answer):
            raise EngineProofFailed(_explain(prompt, answer))
        gaps += _gaps(prompt.logprobs, answer.logprobs)
    largest, mean = max(gaps, default=0.0), sum(gaps) / max(1, len(gaps))
    tolerance = _tolerance(canary, engine_dtype)
    if largest > tolerance.largest or mean > tolerance.mean:
        raise EngineProofFailed(_explain_gap(largest, mean, tolerance))
    return Proof(
        prompts=len(canary.prompts),
        max_logprob_gap=largest,
        mean_logprob_gap=mean,
        distinguishes_parent=canary.distinguishes_parent,
        distinguishes_base=canary.distinguishes_base,
    )


def _tolerance(canary: Canary, engine_dtype: str) -> Tolerance:
    exact = canary.dtype == "fp32" and engine_dtype in _FULL_PRECISION
    return EXACT if exact else ROUNDED


def _gaps(expected: tuple[float, ...], seen: tuple[float, ...]) -> list[float]:
    # The engine also reports the token that ends the answer; the canary leaves it out.
    if len(seen) < len(expected):
        return [math.inf]
    gaps = [abs(a - b) for a, b in zip(expected, seen, strict=False)]
    return [math.inf if math.isnan(gap) else gap for gap in gaps]


def _explain_gap(largest: float, mean: float, tolerance: Tolerance) -> str:
    return (
        "the engine gives the canary's answers other probabilities: they differ by up to "
        f"{largest:.4f} nats ({mean:.4f} on average), at most {tolerance.largest} "
        f"({tolerance.mean}) is accepted. The version is not served; check that the engine's "
        "base, dtype and adapter are those it was trained on."
    )


def _explain(prompt: CanaryPrompt, answer: EngineAnswer) -> str:
    others = {"parent": prompt.parent_answer, "base model": prompt.base_answer}
    seen = comparable(answer.text)
    alike = [name for name, text in others.items() if comparable(text) == seen]
    hint = f", which is what its {' and its '.join(alike)} answered" if alike else ""
    return (
        f"the engine does not serve this version: on a canary prompt it answers {seen[:80]!r}"
        f"{hint}; {comparable(prompt.answer)[:80]!r} was expected. The version is not served; "
        "check that the engine loaded its adapter, then ask again."
    )
