"""Places held still: choosing and storing them, and the mean of |B A| on them with its gradient.

Shapes: an adapted matrix is (O, I) with `a` (R, I) and `b` (O, R), so that B A is its update.
"""

from trainer.methods.protected.masks import Places, num_top, pack, top_places, unpack
from trainer.methods.protected.penalty import Kernel, kernel_for, mean_at_protected

__all__ = [
    "Kernel",
    "Places",
    "kernel_for",
    "mean_at_protected",
    "num_top",
    "pack",
    "top_places",
    "unpack",
]
