"""Stand-ins for slow parts, held to the same contract tests as the real ones."""
