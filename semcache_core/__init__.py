"""Semantic cache core."""
