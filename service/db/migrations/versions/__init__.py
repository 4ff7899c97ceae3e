"""Alembic migrations; file names are date-first."""
