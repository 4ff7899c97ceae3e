"""Datasets as they lie on disk: read row by row, and written back in the shape they came in."""
