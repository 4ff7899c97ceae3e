"""What a run has spent, and whether the next request still fits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from asd_rewriter.llm.settings import LlmSettings


@dataclass(frozen=True)
class Spent:
    """HTTP requests sent, tokens used, and their price.

    A request whose answer was lost or cannot be read counts its allowance: it may have been paid
    for. One that found its kept connection closed counts as a call and uses no tokens; one for
    which there was no connection counts nothing.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class BudgetSpent(Exception):
    """The next request would not fit."""


@dataclass
class Budget:
    """Lets a request pass only if it fits beside those under way, each counted by its allowance.

    An allowance is what a request may use at most; once answered, what it did use counts.
    """

    settings: LlmSettings
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self._held = [0, 0, 0]
        self._changed: asyncio.Event | None = None
        self._largest_prompt = 0

    @property
    def spent(self) -> Spent:
        """What has been spent so far."""
        counts = self.calls, self.prompt_tokens, self.completion_tokens
        return Spent(*counts, cost=self._cost(*counts[1:]))

    async def hold(self, prompt: int, completion: int) -> tuple[int, int]:
        """Wait until the request fits; return its allowance. Raises BudgetSpent if it never will.

        Once one request did not fit, none passes any more: a run ends at one point.
        """
        while not self.closed:
            wanted = max(prompt, self._largest_prompt), completion
            if self._fits(*wanted):
                for index, number in enumerate((1, *wanted)):
                    self._held[index] += number
                return wanted
            if self._held[0] == 0:
                self.closed = True
                break
            self._changed = self._changed or asyncio.Event()
            await self._changed.wait()
        self._wake()
        raise BudgetSpent

    def settle(self, held: tuple[int, int], used: tuple[int, int], sent: bool = True) -> None:
        """Give an allowance back, and count what was used instead."""
        for index, number in enumerate((1, *held)):
            self._held[index] -= number
        self.calls += sent
        self.prompt_tokens += used[0]
        self.completion_tokens += used[1]
        self._largest_prompt = max(self._largest_prompt, used[0])
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _fits(self, prompt: int, completion: int) -> bool:
        limits, (calls, held_prompt, held_completion) = self.settings, self._held
        prompt += held_prompt + self.prompt_tokens
        completion += held_completion + self.completion_tokens
        return (
            (limits.max_calls is None or self.calls + calls + 1 <= limits.max_calls)
            and (limits.max_tokens is None or prompt + completion <= limits.max_tokens)
            and (limits.max_cost is None or self._cost(prompt, completion) <= limits.max_cost)
        )

    def _cost(self, prompt: int, completion: int) -> float:
        prices = self.settings.prompt_price, self.settings.completion_price
        return (prompt * prices[0] + completion * prices[1]) / 1e6
