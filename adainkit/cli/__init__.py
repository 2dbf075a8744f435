"""The `adainkit` command."""

from .entry import main

__all__ = ["main"]
