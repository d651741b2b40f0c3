"""Skerry: a self-hosted Live Activities server."""
