"""OpenAI-compatible chat with any version."""
