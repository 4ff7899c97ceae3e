"""Jobs: background work, its events and its control."""
