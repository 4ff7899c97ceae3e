"""States and phases of a job, and which wishes are possible in which state."""

from __future__ import annotations

PHASES = ("validate", "rewrite", "train", "register", "evaluate", "gate", "promote")
TERMINAL = ("succeeded", "failed", "cancelled")
STATES = ("validating_files", "queued", "running", "paused", "cancelling", *TERMINAL)

STATES_ALLOWING = {
    "pause": ("validating_files", "queued", "running", "paused"),
    "resume": ("validating_files", "queued", "running", "paused"),
    "cancel": ("validating_files", "queued", "running", "paused", "cancelling", "cancelled"),
    "retry": ("failed", "cancelled"),
}
"""Asking for what is so already is no error: a repeated request finds its wish fulfilled."""
