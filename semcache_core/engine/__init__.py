"""Finds, writes and invalidates entries: queries and records in, decisions out."""
