"""Database: tables, engine and sessions, migrations."""
