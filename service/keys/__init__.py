"""API keys: made, hashed at rest, checked, revoked."""
