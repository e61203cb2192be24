"""From a configuration to an open cache: choose, make, open and check the components."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from semcache_core.authoring.suggest import listed
from semcache_core.config import Config
from semcache_core.config.model import Policies
from semcache_core.config.problems import Problems
from semcache_core.engine.components import OpenComponents
from semcache_core.engine.engine import Engine
from semcache_core.engine.observe import Observatory
from semcache_core.engine.proofs import Proofs
from semcache_core.engine.readiness import Readiness
from semcache_core.errors import ConfigError, DependencyError, PluginError, SemcacheError
from semcache_core.keys.digests import Digests
from semcache_core.keys.python import FunctionIdentity, PythonKeys
from semcache_core.protocols import Embedder, KeyExtractor, ResponseStore, SupportsNotices, VectorStore, Verifier
from semcache_core.runtime.assembly import Components, assemble, check_shared_store
from semcache_core.runtime.registry import NOUNS, Kind, Registry
from semcache_core.types import Space

_PROTOCOLS: dict[Kind, type] = {
    "embedders": Embedder,
    "vector_stores": VectorStore,
    "response_stores": ResponseStore,
    "key_extractors": KeyExtractor,
    "verifiers": Verifier,
}

OPENING = "while opening"
"""Begins the exception note that names the component being opened."""


class Runtime:
    """Everything that an open cache uses."""

    __slots__ = (
        "_functions",
        "config",
        "digests",
        "engine",
        "extractors",
        "keys",
        "policies",
        "policy",
        "proofs",
        "readiness",
    )

    def __init__(
        self,
        *,
        config: Config,
        engine: Engine,
        digests: Digests,
        policies: Policies,
        extractors: Mapping[str, KeyExtractor],
    ) -> None:
        self.config, self.engine, self.digests, self.extractors = config, engine, digests, extractors
        self.policies, self.policy = policies, policies.base
        self.keys = PythonKeys(digests, policy=policies.base, namespace=config.cache.namespace)
        self.proofs = Proofs()
        self.readiness = Readiness(engine.parts, limits=config.limits, clock=engine.clock)
        self._functions: dict[FunctionIdentity, PythonKeys] = {}

    def keys_of(self, function: FunctionIdentity) -> PythonKeys:
        """Return the keys of a cached function: two functions never share an answer."""
        keys = self._functions.get(function)
        if keys is None:
            keys = self._functions[function] = self.keys.function(function.module, function.qualname, function.version)
        return keys


async def open_cache(
    stack: AsyncExitStack,
    config: Config,
    *,
    registry: Registry,
    clock: Callable[[], float],
    instances: Mapping[str, Any],
) -> Runtime:
    """Open every configured component on ``stack``; ``instances`` replace the configured ones by kind.

    Raises ConfigError, PluginError, DependencyError, and any other exception of a component's opening.
    """
    observatory = Observatory(registry.observers(), clock=clock)
    chosen = dataclasses.replace(assemble(config, registry), **instances)
    if "response_store" in instances:  # The configured one was checked when it was made.
        _check_instance(chosen.response_store, config)
    exact_only = "" if "verifiers" in instances else chosen.exact_only
    if exact_only:
        chosen = dataclasses.replace(chosen, embedder=None)

    responses = await _entered(stack, chosen.response_store, "response_stores", observatory)
    vectors = await _entered(stack, chosen.vector_store, "vector_stores", observatory)
    embedder = await _embedder(stack, chosen, observatory)
    if embedder is not None:
        await vectors.prepare(Space(fingerprint=embedder.fingerprint, dimensions=embedder.dimensions))
    verifiers = [await _entered(stack, verifier, "verifiers", observatory) for verifier in chosen.verifiers]
    extractors = [
        await _entered(stack, extractor, "key_extractors", observatory) for extractor in chosen.key_extractors
    ]
    # Not earlier: while a store is down, opening is retried again and again.
    for message in chosen.notices:
        observatory.notice("configuration", message)
    if exact_only:
        observatory.notice("exact-only", exact_only)

    parts = OpenComponents.of(
        embedder=embedder, vectors=vectors, responses=responses, verifiers=verifiers, vetoes=registry.vetoes()
    )
    engine = Engine(parts, limits=config.limits, observatory=observatory, clock=clock)
    stack.push_async_callback(engine.close)
    engine.spawn(engine.maintenance.sweep(clock=clock))
    if parts.tellers:
        engine.spawn(engine.maintenance.pass_notices())

    return Runtime(
        config=config,
        engine=engine,
        digests=Digests(_identity_secret(config, responses)),
        policies=config.policies(embedder),
        extractors=dict(zip(chosen.extractor_names, extractors, strict=True)),
    )


async def _embedder(stack: AsyncExitStack, chosen: Components, observatory: Observatory) -> Embedder | None:
    if chosen.embedder is None:
        return None
    try:
        opened: Embedder = await _entered(stack, chosen.embedder, "embedders", observatory)
    except (ConfigError, DependencyError) as error:
        # This embedder was not configured by name: if it cannot run, the cache can still match exactly.
        if not chosen.embedder_is_implied:
            raise
        observatory.notice("exact-only", f"{error} Until then only equal requests are answered from the cache.")
        return None
    return opened


async def _entered(stack: AsyncExitStack, component: Any, kind: Kind, observatory: Observatory) -> Any:
    try:
        entered = await stack.enter_async_context(component)
    except SemcacheError:
        raise
    except Exception as error:
        # An exception of a library does not name the component that called it.
        error.add_note(f"{OPENING} the {NOUNS[kind]} {_owner(component)}")
        raise
    opened = usable(component, entered, kind)
    if isinstance(opened, SupportsNotices):
        observatory.told_by(opened)
    return opened


def usable(component: Any, opened: Any, kind: Kind) -> Any:
    """Return the result of opening a component.

    Raises PluginError if it is None or lacks a method of its protocol: later the error would appear only while
    serving, without the name of the component.
    """
    owner = _owner(component)
    if opened is None:
        raise PluginError(f"{owner}: __aenter__ returns None; end it with 'return self'")
    protocol = _PROTOCOLS[kind]
    missing = [name for name in dir(protocol) if not name.startswith("_") and not hasattr(opened, name)]
    if missing:
        raise PluginError(f"{owner} has no {listed(missing)}: see {protocol.__module__}.{protocol.__name__}")
    return opened


def _owner(component: object) -> str:
    return f"{type(component).__module__}.{type(component).__qualname__}"


def _check_instance(store: object, config: Config) -> None:
    problems = Problems(config.place_of)
    check_shared_store(store, config, name=type(store).__name__, problems=problems)
    problems.raise_any()


def _identity_secret(config: Config, responses: Any) -> bytes:
    """Return the identity secret: the configured one, or the one that the response store keeps."""
    secret = config.http.identity_secret
    kept: bytes = responses.identity_secret() if secret is None else secret.reveal().encode()
    return kept
