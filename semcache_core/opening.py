"""From a configuration to an open cache: components chosen, made, opened in order, and checked against each other."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from .config import Config
from .deadlines import Dependency
from .engine import Engine
from .errors import ConfigError
from .functions import CachedFunction
from .http.site import Site
from .keys.digests import Digests
from .keys.python import PythonKeys
from .observe import Observatory
from .parts import Parts
from .protocols import Embedder, KeyExtractor, SupportsNotices, SupportsSecret, Verifier
from .registry import Registry
from .settings import Policy
from .types import Notice, Space


class Opened:
    """What an open cache works with."""

    __slots__ = ("_functions", "draw", "engine", "keys", "policy", "site")

    def __init__(self, engine: Engine, keys: PythonKeys, policy: Policy, site: Site, draw: Callable[[], float]) -> None:
        self.engine, self.keys, self.policy, self.site, self.draw = engine, keys, policy, site, draw
        self._functions: dict[CachedFunction, PythonKeys] = {}

    def keys_of(self, function: CachedFunction) -> PythonKeys:
        """Return the keys of a cached function: two functions never share an answer."""
        keys = self._functions.get(function)
        if keys is None:
            keys = self._functions[function] = self.keys.function(function.module, function.qualname, function.version)
        return keys


async def open_cache(
    stack: AsyncExitStack,
    config: Config,
    *,
    registry: Registry | None,
    clock: Callable[[], float],
    background: bool = True,
) -> Opened:
    """Open everything ``config`` names on ``stack``. Raises ConfigError, PluginError, DependencyError.

    ``background=False``: nothing may outlive the call that began it.
    """
    registry = registry if registry is not None else Registry.installed()
    chosen = config.components(registry)
    observatory = Observatory(registry.observers(), clock=clock)
    for message in chosen.notices:
        observatory.tell(Notice(code="configuration", message=message))

    responses = await _entered(stack, chosen.response_store, observatory)
    vectors = await _entered(stack, chosen.vector_store, observatory)
    embedder = None if chosen.embedder is None else await _entered(stack, chosen.embedder, observatory)
    if embedder is not None:
        await vectors.prepare(Space(fingerprint=embedder.fingerprint, dimensions=embedder.dimensions))
    judge = Dependency(
        "verify",
        deadline=config.limits.judge_deadline,
        open_for=config.limits.breaker_open,
        clock=clock,
        on_fault=observatory.fault,
    )
    verifiers: list[tuple[Verifier, Dependency | None]] = [
        (opened, judge if opened.costly else None)
        for opened in [await _entered(stack, verifier, observatory) for verifier in chosen.verifiers]
    ]
    extractors: list[KeyExtractor] = [await _entered(stack, one, observatory) for one in chosen.key_extractors]

    parts = Parts.of(embedder=embedder, vectors=vectors, responses=responses, verifiers=verifiers, vetoes=registry.vetoes())
    engine = Engine(parts, limits=config.limits, observatory=observatory, clock=clock, background=background)
    stack.push_async_callback(engine.close)
    if parts.sweepers:
        engine.spawn(engine.sweep())

    digests = Digests(_identity_secret(config, responses))
    policy = _policy(config, embedder)
    keys = PythonKeys(digests, policy=policy, namespace=config.cache.namespace)
    site = Site(config=config, engine=engine, digests=digests, extractors=dict(zip(chosen.extractor_names, extractors, strict=True)), policy=policy)
    return Opened(engine, keys, policy, site, random.random)  # noqa: S311  jitter, not a secret


async def _entered(stack: AsyncExitStack, component: Any, observatory: Observatory) -> Any:
    opened = await stack.enter_async_context(component)
    if isinstance(opened, SupportsNotices):
        for message in opened.notices():
            observatory.tell(Notice(code=type(opened).__name__, message=message))
    return opened


def _identity_secret(config: Config, responses: object) -> bytes:
    """Return the secret that hides identities: the configured one, or the one a local store keeps."""
    secret = config.http.identity_secret
    if secret is not None:
        return secret.reveal().encode()
    if isinstance(responses, SupportsSecret):
        return responses.identity_secret()
    raise ConfigError(
        "http.identity_secret is missing: this response store is shared over a network, so everybody who uses it needs the "
        'same secret; set identity_secret = { env = "SEMCACHE_SECRET" } under [http], and semcache.namespace'
    )


def _policy(config: Config, embedder: Embedder | None) -> Policy:
    ...
