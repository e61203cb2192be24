"""Options that are set but have no effect: reported at startup, because nothing else would show it."""

from __future__ import annotations

from collections.abc import Iterator

from semcache_core.config.model import Config

_OF_COMPARING = ("threshold", "preset", "min_words", "max_words", "volatile")
"""Options that matter only if texts are compared."""


def without_effect(config: Config) -> Iterator[str]:
    """Yield one sentence for each option, or group of options, that is set and has no effect."""
    given, cache = config.given | config.origins.keys(), config.cache
    if "semcache.preset" in given and cache.threshold is not None:
        yield f"{config.where('semcache.preset')}: has no effect beside semcache.threshold; keep one of them"
    if cache.min_words > cache.max_words:
        yield f"{config.where('semcache.min_words')}: is more than max_words, so every text matches exactly only"
    if not config.compares:
        # Not the tables [embedder] and [verifiers]: an operator may keep them while texts are not compared.
        set_anyway = [path for name in _OF_COMPARING if (path := f"semcache.{name}") in given]
        if set_anyway:
            yield f'{config.label}: no effect, because match = "exact" everywhere: {", ".join(set_anyway)}'
    for place, route in enumerate(config.routes):
        if route.match == "exact" and not config.lets_callers_compare:
            paths = [f"route[{place}].{name}" for name in (*_OF_COMPARING, "compare")]
            set_anyway = [path for path in paths if path in given]
            if set_anyway:
                yield f'{config.label}: no effect beside match = "exact": {", ".join(set_anyway)}'
