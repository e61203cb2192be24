"""Options of routes that the extractor of their requests does not read: told at the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from semcache_core.config import Config
from semcache_core.protocols import KeyExtractor

_OF_JSON = ("text", "methods")
"""What only the ``json`` extractor reads."""
_OF_LLMS = ("tool_calls", "usage_on_hit")
"""What only the extractors of LLM protocols read."""


def unread_options(config: Config, extractors: Mapping[str, KeyExtractor]) -> Iterator[str]:
    """Yield one sentence for each route with options that nothing reads. ``extractors`` by name, in order."""
    for place, route in enumerate(config.routes):
        path = route.path.encode()
        claiming = (
            next((name for name, one in extractors.items() if one.claims(method, path)), None)
            for method in route.methods
        )
        readers = {name for name in claiming if name is not None}
        unread: tuple[str, ...] = ()
        if "json" not in (readers or extractors):
            unread += _OF_JSON
        if readers and all(extractors[name].generic for name in readers):
            unread += _OF_LLMS
        given = [f"route[{place}].{name}" for name in unread if f"route[{place}].{name}" in config.given]
        if given:
            who = " and ".join(sorted(readers or extractors))
            yield f"{config.label}: no effect, because {who} does not read it: {', '.join(given)}"
