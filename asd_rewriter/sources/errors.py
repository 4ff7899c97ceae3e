"""What reading and writing datasets refuses; part of the tree in `asd_rewriter.errors`."""

from __future__ import annotations

from asd_rewriter.errors import AsdError


class InputRefused(AsdError, ValueError):
    """A dataset that cannot be read, or (strict) that has bad rows."""

    status = 422
    code = "invalid_input"
