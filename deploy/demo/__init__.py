"""The demo: three tasks through the whole loop on the tiny base, in one command."""
