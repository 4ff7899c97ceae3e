# mypy: ignore-errors
"""The GPU kernel. Imported only where triton is installed and a GPU's tensors ask for it."""

import triton
import triton.language as tl


@triton.jit
def line_gradients(
    lines_ptr, others_ptr, planes_ptr, found_ptr,
    num_lines, num_others, rank, row_bytes, plane_bytes,
    line_step, line_rank_step, other_step, other_rank_step,
    PLANES: tl.constexpr, TURNED: tl.constexpr, RANK: tl.constexpr,
    LINES: tl.constexpr, OTHERS: tl.constexpr,
):  # fmt: skip
    """Store sign(L O^T) * counts @ O for a block of lines L, walking over all others O."""
    line = tl.program_id(0) * LINES + tl.arange(0, LINES)
    ranks = tl.arange(0, RANK)
    in_rank, in_lines = ranks[None, :] < rank, line[:, None] < num_lines
    lines = tl.load(
        lines_ptr + line[:, None] * line_step + ranks[None, :] * line_rank_step,
        mask=in_lines & in_rank, other=0.0,
    )  # fmt: skip
    found = tl.zeros((LINES, RANK), dtype=tl.float32)
    for first in range(0, num_others, OTHERS):
        other = first + tl.arange(0, OTHERS)
        others = tl.load(
            others_ptr + other[:, None] * other_step + ranks[None, :] * other_rank_step,
            mask=(other[:, None] < num_others) & in_rank, other=0.0,
        )  # fmt: skip
        product = tl.dot(lines, tl.trans(others), input_precision="ieee")
        row, column = (other[None, :], line[:, None]) if TURNED else (line[:, None], other[None, :])
        inside = in_lines & (other[None, :] < num_others)
        counts = tl.zeros((LINES, OTHERS), dtype=tl.int32)
        for plane in tl.static_range(PLANES):
            where = planes_ptr + plane * plane_bytes + row * row_bytes + column // 8
            byte = tl.load(where, mask=inside, other=0).to(tl.int32)
            counts += ((byte >> (column % 8)) & 1) << plane
        signs = (product > 0).to(tl.int32) - (product < 0).to(tl.int32)
        found += tl.dot((signs * counts).to(others.dtype), others, input_precision="ieee")
    tl.store(found_ptr + line[:, None] * rank + ranks[None, :], found, mask=in_lines & in_rank)
