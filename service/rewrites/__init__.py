"""What rewriting did to a task's rows, one by one, and people's decisions on it."""
