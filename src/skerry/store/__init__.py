"""The truth on disk: one port, SQLite behind it."""
