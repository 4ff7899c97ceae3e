"""The rewriter that asks a model, behind any OpenAI-compatible endpoint, for what rules lack."""
