"""Touchstone: a self-hosted, private leaderboard for embedding models."""

__version__ = "0.1.0"
