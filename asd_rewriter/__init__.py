"""Task intake and Answer Style Diversification: rows, cards, answer formats, rewriting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asd_rewriter.api import rewrite_dataset

__all__ = ["rewrite_dataset"]


def __getattr__(name: str) -> Any:
    if name == "rewrite_dataset":
        from asd_rewriter.api import rewrite_dataset

        return rewrite_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
