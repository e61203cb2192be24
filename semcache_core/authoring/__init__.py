"""Public helpers for authors of plugins: canonical JSON, JSON paths, framings, rules."""
