"""Telling the caller's own servers what happens."""
