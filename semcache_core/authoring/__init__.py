"""Public helpers for plugin authors: canonical JSON, JSON paths, route rules, framings, recorders, a worker thread."""
