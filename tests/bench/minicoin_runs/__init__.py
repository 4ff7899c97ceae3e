"""The minicoin table: methods run over CoIN's order of tasks by the product's own trainer."""
