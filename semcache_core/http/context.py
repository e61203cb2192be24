"""``DriverContext``: what one HTTP driver works with: which requests are whose, under which policy, keyed how.

A driver makes one for each open cache it meets; the deployment says where the driver stands: in an application, or in a
proxy in front of an upstream.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from semcache_core.extractors.json_body import JsonBody
from semcache_core.http.known import KnownRequest, RequestProfile
from semcache_core.http.route import Deployment, Route
from semcache_core.keys.fifo import FifoCache
from semcache_core.keys.http import HttpKeys
from semcache_core.keys.identity import LONGEST_PATH
from semcache_core.protocols import KeyExtractor, SupportsAnswers
from semcache_core.runtime.opening import Runtime
from semcache_core.settings import HttpOptions, RouteOptions
from semcache_core.types import Bypass

_RESOLVED_KEPT = 4096
_HEADS_KEPT = 1024


class DriverContext:
    """What one driver works with."""

    __slots__ = (
        "_extractors",
        "_resolved",
        "aliases",
        "allow",
        "debug_token",
        "engine",
        "heads",
        "keep",
        "keys",
        "namespace",
        "options",
        "place",
        "proofs",
        "runtime",
        "shared",
    )

    def __init__(self, runtime: Runtime, place: Deployment) -> None:
        options: HttpOptions = runtime.config.http
        self.runtime, self.place, self.engine, self.options = runtime, place, runtime.engine, options
        self.namespace = runtime.config.cache.namespace
        self.keys = HttpKeys(
            runtime.digests, options=options, anonymous=place.anonymous, by_application=place.by_application
        )
        if place.by_application:
            # What the configuration itself says of identity was told when the cache opened.
            for message in self.keys.notices():
                runtime.engine.observatory.notice("configuration", message)
        for message in place.notices(runtime.extractors):
            runtime.engine.observatory.notice("configuration", message)
        # Its own: two drivers may tell callers apart in two ways.
        self.aliases: FifoCache[KnownRequest | Bypass] = FifoCache(runtime.config.limits.alias_cache)
        self.heads: FifoCache[RequestProfile] = FifoCache(_HEADS_KEPT)
        self.proofs = runtime.proofs
        self.shared = options.identity == "shared"
        self.allow: frozenset[str] = frozenset(options.allow_directives)
        self.keep = frozenset(name.lower().encode("latin-1") for name in options.keep_headers)
        self.debug_token = None if options.debug_token is None else options.debug_token.reveal()
        self._extractors = _with_paths(runtime, place)
        self._resolved: dict[tuple[str, bytes], Route | None] = {}

    def resolve(self, method: str, path: bytes) -> Route | None:
        """Return the route of a request by its method and raw path; None: it is not ours, leave it untouched."""
        asked = (method, path)
        try:
            return self._resolved[asked]
        except KeyError:
            pass
        route = self._find(method, path)
        # Callers choose paths: long ones are not remembered, and what they made us remember is dropped at once; the few
        # real paths come back.
        if len(path) + len(method) <= LONGEST_PATH:
            if len(self._resolved) >= _RESOLVED_KEPT:
                self._resolved.clear()
            self._resolved[asked] = route
        return route

    def _find(self, method: str, path: bytes) -> Route | None:
        name = self._claimant(method, path)
        if name is None:
            return None
        extractor = self._extractors[name]
        policy = self.runtime.policies.of(path)
        if policy.mode == "off" or not isinstance(extractor, SupportsAnswers):
            return None
        obeys = policy.cache_control == "obey" and (extractor.generic or not self.place.upstream)
        route = Route(
            protocol=name,
            extractor=extractor,
            answers=extractor,
            policy=policy,
            generic=extractor.generic,
            obeys=obeys,
            zero_usage=policy.usage_on_hit == "zero",
        )
        if policy.match == "semantic" or "mode" not in self.allow:
            return route
        comparing = msgspec.structs.replace(policy, match="semantic")
        return msgspec.structs.replace(route, comparing=msgspec.structs.replace(route, policy=comparing))

    def _claimant(self, method: str, path: bytes) -> str | None:
        return next((name for name, one in self._extractors.items() if one.claims(method, path)), None)


def _with_paths(runtime: Runtime, place: Deployment) -> Mapping[str, KeyExtractor]:
    """Return the extractors, ``json`` with the paths that this driver's own settings add to the configuration's."""
    known = runtime.extractors.get("json")
    if not place.paths or not isinstance(known, JsonBody):
        return runtime.extractors
    extended = JsonBody(known.options)
    extended.follow(
        [*runtime.config.routes, *(RouteOptions(path=path, methods=place.methods) for path in place.paths)],
        runtime.config.normalise,
    )
    return {**runtime.extractors, "json": extended}
