"""``DriverContext``: what one HTTP driver works with: which requests are whose, under which policy, keyed how.

A driver makes one for each open cache it meets; the deployment says where the driver stands: in an application, or in a
proxy in front of an upstream.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from semcache_core.http.coding import missing_decoders
from semcache_core.http.profile import KnownRequest, RequestProfile
from semcache_core.http.route import Deployment, Route
from semcache_core.keys.fifo import FifoCache
from semcache_core.keys.http import HttpKeys
from semcache_core.keys.paths import LONGEST_PATH
from semcache_core.protocols import KeyExtractor, SupportsAnswers, SupportsPaths
from semcache_core.remedies import pip_install
from semcache_core.runtime.opening import Runtime
from semcache_core.settings import HttpOptions
from semcache_core.types import Bypass

_RESOLVED_KEPT = 4096
_PROFILES_KEPT = 1024


class DriverContext:
    """What one driver works with."""

    __slots__ = (
        "_extractors",
        "_resolved",
        "aliases",
        "allow",
        "debug_token",
        "deployment",
        "digests",
        "engine",
        "keep",
        "keys",
        "keys_elsewhere",
        "namespace",
        "options",
        "profiles",
        "proofs",
        "runtime",
        "shared",
    )

    def __init__(self, runtime: Runtime, deployment: Deployment) -> None:
        options: HttpOptions = runtime.config.http
        self.runtime, self.deployment, self.engine, self.options = runtime, deployment, runtime.engine, options
        self.digests = runtime.digests
        self.namespace = runtime.config.cache.namespace
        self.keys = HttpKeys(
            runtime.digests, options=options, anonymous=deployment.anonymous, by_application=deployment.by_application
        )
        self.keys_elsewhere = (
            HttpKeys(runtime.digests, options=options, by_application=deployment.by_application)
            if deployment.anonymous
            else self.keys
        )
        """The keys of requests that began on another machine: without identity these bypass, also on loopback."""
        if deployment.by_application:
            # What the configuration itself says of identity was told when the cache opened.
            for message in self.keys.notices():
                runtime.engine.observatory.notice("configuration", message)
        for message in deployment.notices(runtime.extractors):
            runtime.engine.observatory.notice("configuration", message)
        lacking = missing_decoders()
        if lacking:
            runtime.engine.observatory.notice(
                "decoders", f"answers coded in {' or '.join(lacking)} are not stored: {pip_install(*lacking.values())}"
            )
        if options.callers is not None and not deployment.upstream:
            runtime.engine.observatory.notice(
                "configuration", "http.callers has no effect here: only a proxy asks callers for a token of its own"
            )
        # Its own: two drivers may tell callers apart in two ways.
        self.aliases: FifoCache[KnownRequest | Bypass] = FifoCache(runtime.config.limits.alias_cache)
        self.profiles: FifoCache[RequestProfile] = FifoCache(_PROFILES_KEPT)
        self.proofs = runtime.proofs
        self.shared = options.identity == "shared"
        self.allow: frozenset[str] = frozenset(options.allow_directives)
        self.keep = frozenset(name.lower().encode("latin-1") for name in options.keep_headers)
        self.debug_token = None if options.debug_token is None else options.debug_token.reveal()
        self._extractors = _with_paths(runtime, deployment)
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
        obeys = policy.cache_control == "obey" and (extractor.traits.http_caching or not self.deployment.upstream)
        route = Route(
            protocol=name,
            extractor=extractor,
            answers=extractor,
            policy=policy,
            traits=extractor.traits,
            obeys=obeys,
        )
        if policy.match == "semantic" or "mode" not in self.allow:
            return route
        comparing = msgspec.structs.replace(policy, match="semantic")
        return msgspec.structs.replace(route, comparing=msgspec.structs.replace(route, policy=comparing))

    def _claimant(self, method: str, path: bytes) -> str | None:
        return next((name for name, one in self._extractors.items() if one.claims(method, path)), None)


def _with_paths(runtime: Runtime, deployment: Deployment) -> Mapping[str, KeyExtractor]:
    """Return the extractors; those that can take paths also claim the ones that this driver's own settings name."""
    if not deployment.paths:
        return runtime.extractors
    return {
        name: one.with_paths(deployment.paths, deployment.methods) if isinstance(one, SupportsPaths) else one
        for name, one in runtime.extractors.items()
    }
