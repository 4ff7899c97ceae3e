"""English grammar for rules: a question and a claim become a clause, to be asked or stated."""
