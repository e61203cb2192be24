"""Settings of the right type whose value is invalid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from semcache_core.authoring.json_paths import parse_path
from semcache_core.authoring.patterns import bounded_pattern
from semcache_core.config.problems import Problem
from semcache_core.errors import ConfigError
from semcache_core.keys.digests import SHORTEST_SECRET
from semcache_core.settings import HttpOptions, Normalise, RouteOptions


def invalid(http: HttpOptions, routes: Sequence[RouteOptions], rules: Sequence[Normalise]) -> Iterator[Problem]:
    """Yield each setting with such a value, with the remedy."""
    secret = http.identity_secret
    if secret is not None and len(secret.reveal().encode()) < SHORTEST_SECRET:
        told = f"is too short: at least {SHORTEST_SECRET} bytes, for example what `openssl rand -hex 32` prints"
        yield "http.identity_secret", told
    paths = [route.path for route in routes]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            yield f"route[{place}].path", f"there is a route for {path!r} already; join the two"
    for place, rule in enumerate(rules):
        try:
            parse_path(rule.path)
        except ConfigError as error:
            yield f"normalise[{place}].path", str(error)
        try:
            bounded_pattern(rule.pattern)
        except ValueError as error:
            yield f"normalise[{place}].pattern", str(error)
