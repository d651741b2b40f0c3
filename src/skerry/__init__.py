"""Skerry: a self-hosted Live Activities server."""

from importlib.metadata import version

__version__ = version("skerry")
