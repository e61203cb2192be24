"""The ``json`` key extractor: JSON APIs on the configured paths."""

from semcache_core.builtin.json.extractor import JsonBody, JsonOptions, JsonRoute

__all__ = ["JsonBody", "JsonOptions", "JsonRoute"]
