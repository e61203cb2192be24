"""Reads a text once, for the rules."""
