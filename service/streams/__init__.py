"""Streams: model lines, and the tasks submitted to them."""
