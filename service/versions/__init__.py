"""Versions of a stream, their aliases, and the journal of every alias move."""
