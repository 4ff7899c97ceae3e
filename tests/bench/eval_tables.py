"""Published result tables, and how far the summaries computed here are from the printed ones.

Every figure can be checked against its source: a table that prints all cells behind it. CoIN's
tables print the final row alone, so their MAA cannot be recomputed and is left out; their MFT goes
in, in place of the diagonal that is not printed, and MFN and BWT must come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from eval.matrix import AccuracyMatrix, Cell, MatrixRow

Rows = Sequence[Sequence[float | None]]


class Figure(NamedTuple):
    """A summary as computed and as printed, in points, with the decimals printed."""

    table: str
    name: str
    computed: float
    printed: float
    decimals: int

    @property
    def error(self) -> float:
        """Distance in points; of what was printed with one decimal, after rounding to one."""
        value = self.computed if self.decimals >= 2 else round(self.computed, self.decimals)
        return abs(value - self.printed)


UCIT_LORA = [
    [90.97],
    [90.38, 92.60],
    [73.90, 86.33, 59.54],
    [75.67, 68.77, 47.34, 53.30],
    [75.10, 74.53, 46.73, 52.30, 69.73],
    [65.77, 71.27, 45.05, 51.20, 49.60, 57.47],
]
"""LoRA on UCIT, LLaVA-1.5-7B, a user's run (github.com/Ghy0501/MCITlib, issue 6)."""
UCIT_LORA_PRINTED = {
    "mft": 70.60,
    "mfn": 56.73,
    "maa": 72.90,
    "bwt": -13.88,
    "bwt_t_minus_1": -16.65,
}

UCIT_INDIVIDUAL = [91.67, 90.83, 57.87, 78.43, 76.63, 61.72], 76.19
"""One model per task on UCIT: accuracies and their mean (MCITlib, arXiv 2508.07307, table 3a)."""

UCIT_DISCO = [87.43, 93.07, 46.96, 68.13, 65.70, 56.69], 75.87, 69.66, -7.45
"""DISCO on UCIT (same table): final row, MFT, MFN, BWT with divisor T - 1."""

COIN = {
    "FFT": ([2.95, 36.38, 52.35, 46.40, 33.90, 0.00, 61.65, 50.00], 65.87, 35.45, -30.42),
    "LoRA": ([54.05, 44.63, 41.25, 47.55, 20.80, 0.85, 59.30, 64.30], 70.21, 41.59, -28.62),
    "O-LoRA": ([75.40, 52.89, 71.85, 47.30, 37.35, 7.10, 61.85, 61.20], 69.30, 51.87, -17.43),
    "LoTA": ([67.30, 41.51, 8.25, 37.15, 42.25, 0.10, 47.95, 56.15], 54.72, 37.58, -17.14),
    "FFT+ASD": ([74.50, 50.12, 65.40, 54.35, 45.50, 0.00, 64.40, 68.50], 68.28, 52.85, -15.44),
    "LoRA+ASD": ([74.45, 49.70, 39.30, 52.00, 50.45, 7.05, 62.25, 47.80], 68.13, 47.88, -20.26),
    "O-LoRA+ASD": ([75.20, 55.36, 67.50, 54.70, 52.90, 15.40, 64.45, 35.05], 65.59, 52.57, -13.02),
    "LoTA+ASD": ([76.90, 42.65, 15.85, 40.25, 45.10, 0.30, 54.35, 54.00], 56.99, 41.18, -15.82),
    "SEFE": ([75.35, 58.66, 83.10, 54.25, 48.85, 16.75, 65.35, 66.25], 69.02, 58.57, -10.45),
}
"""CoIN on LLaVA-1.5 (SEFE, arXiv 2505.02486): final row, MFT, MFN, BWT with divisor T."""

MTIL_ZSCL = [
    [85.661, 88.333, 60.05, 86.672, 70.581, 64.664, 23.042, 88.422, 45.106, 56.463, 67.64],
    [85.835, 92.388, 55.00, 85.745, 68.645, 65.625, 21.692, 88.710, 45.479, 55.630, 67.68],
    [84.243, 91.830, 98.96, 81.575, 65.149, 64.264, 20.432, 88.134, 44.947, 53.796, 67.05],
    [83.746, 91.929, 98.84, 95.176, 68.060, 64.540, 20.312, 88.537, 44.202, 56.519, 68.62],
    [82.539, 91.822, 98.75, 94.576, 96.032, 65.041, 20.072, 88.479, 44.734, 55.241, 68.34],
    [82.627, 91.762, 98.65, 94.222, 94.080, 80.291, 21.002, 89.055, 46.489, 57.685, 69.04],
    [78.871, 91.259, 98.55, 92.995, 91.039, 79.054, 55.446, 86.348, 45.691, 53.556, 66.76],
    [78.883, 91.354, 98.47, 92.995, 90.551, 78.829, 47.975, 92.339, 45.904, 54.167, 68.84],
    [79.318, 91.097, 98.43, 92.096, 90.974, 78.525, 47.945, 92.166, 76.915, 53.426, 68.89],
    [78.485, 90.915, 98.36, 92.341, 89.787, 78.231, 46.595, 92.108, 74.681, 97.815, 69.45],
    [78.224, 91.141, 97.56, 92.532, 87.429, 78.249, 45.035, 92.339, 72.660, 96.185, 86.30],
]
"""ZSCL on MTIL, order II, all stages and tasks (arXiv 2303.06628; the authors' results.ipynb)."""
MTIL_ZSCL_PRINTED = {"transfer": 64.2, "average": 74.5, "last": 83.4}


def matrix(rows: Rows, n: int = 2000) -> AccuracyMatrix:
    """Return the matrix of stages 1..T from points (None: not printed), without a zero-shot row."""
    tasks = [f"task {number}" for number in range(1, len(rows) + 1)]
    built = [MatrixRow(version="model@0")]
    for stage, points in enumerate(rows, start=1):
        cells = {
            task: Cell(accuracy=value, n=n, metric="published")
            for task, value in zip(tasks, points, strict=False)
            if value is not None
        }
        built.append(MatrixRow(version=f"model@{stage}", task=tasks[stage - 1], cells=cells))
    return AccuracyMatrix(tasks=tuple(tasks), rows=tuple(built))


def from_final_row(final: Sequence[float], mft: float) -> AccuracyMatrix:
    """Return a matrix with this final row and this MFT; the other cells stay holes.

    Any diagonal with that mean will do, as long as it ends where the final row does.
    """
    others = (len(final) * mft - final[-1]) / (len(final) - 1)
    diagonal: Rows = [[None] * stage + [others] for stage in range(len(final) - 1)]
    return matrix([*diagonal, final])


def figures() -> Iterator[Figure]:
    """Yield every printed figure with the computed one beside it."""
    yield from _of("UCIT LoRA", matrix(UCIT_LORA), UCIT_LORA_PRINTED)
    yield from _of("MTIL ZSCL", matrix(MTIL_ZSCL), MTIL_ZSCL_PRINTED, decimals=1)
    alone, mean = UCIT_INDIVIDUAL
    yield from _of("UCIT individual", from_final_row(alone, mean), {"mfn": mean})
    final, mft, mfn, bwt = UCIT_DISCO
    yield from _of("UCIT DISCO", from_final_row(final, mft), {"mfn": mfn, "bwt_t_minus_1": bwt})
    for method, (final, mft, mfn, bwt) in COIN.items():
        yield from _of(f"CoIN {method}", from_final_row(final, mft), {"mfn": mfn, "bwt": bwt})


def largest_error() -> float:
    """Return the largest error of all printed figures, in points."""
    return max(figure.error for figure in figures())


def _of(
    table: str, of: AccuracyMatrix, printed: dict[str, float], decimals: int = 2
) -> Iterator[Figure]:
    for name, value in printed.items():
        yield Figure(table, name, of.estimate(name).points, value, decimals)
