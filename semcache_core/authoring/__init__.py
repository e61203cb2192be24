"""Public helpers for authors of plugins: canonical JSON, JSON paths, rules of routes, framings, recorders, a thread."""
