"""Opens the configured response store alone and walks its entries, for the commands that count, purge and explain."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import click
import msgspec

from semcache_core.config import Config
from semcache_core.engine import record_codec
from semcache_core.errors import UnsupportedByStore
from semcache_core.protocols import (
    ResponseStore,
    SupportsExists,
    SupportsInvalidation,
    SupportsNotices,
    SupportsReadOnly,
    SupportsScan,
)
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.opening import Runtime, open_cache, usable
from semcache_core.runtime.registry import Kind, Registry
from semcache_core.types import Quiet, Record

PAGE = 1000


def exists(store: object) -> bool:
    """Say whether the store exists; a store without ``SupportsExists`` counts as existing."""
    return store.exists() if isinstance(store, SupportsExists) else True


def to_look(component: Any) -> Any:
    """Return the component as a command opens it that changes nothing."""
    return component.read_only() if isinstance(component, SupportsReadOnly) else component


async def opened_to_look(stack: AsyncExitStack, config: Config, registry: Registry) -> Runtime:
    """Open a cache without changing anything: an empty store replaces one that does not exist yet."""
    chosen = assemble(config, registry)
    stores: dict[Kind, tuple[str, object]] = {
        "response_stores": ("response_store", chosen.response_store),
        "vector_stores": ("vector_store", chosen.vector_store),
    }
    instances: dict[str, Any] = {}
    for kind, (name, store) in stores.items():
        if exists(store):
            instances[name] = to_look(store)
        else:
            empty = registry.load(kind, "semcache-core/memory")
            instances[name] = empty(empty.Options())
    runtime = await open_cache(stack, config, registry=registry, clock=time.time, instances=instances)
    # A reading command changes nothing: it does not delete or repair the entries it finds.
    await runtime.engine.maintenance.close()
    return runtime


@asynccontextmanager
async def opened_alone(component: Any, kind: Kind) -> AsyncIterator[Any]:
    """Open a component alone, and change nothing; print its notices on standard error."""
    looking = to_look(component)
    async with looking as opened:
        ready = usable(looking, opened, kind)
        if isinstance(ready, SupportsNotices):
            for message in ready.notices():
                click.echo(f"semcache: {message}", err=True)
        yield ready


class Entry(Quiet, msgspec.Struct, frozen=True):
    """One entry of a response store."""

    id: bytes
    record: Record
    size: int
    """Bytes, as stored."""
    invalidated_at: float | None
    tags: tuple[bytes, ...]

    @property
    def is_dead(self) -> bool:
        """Whether it was invalidated: born at or before the latest invalidation of its tags."""
        return self.invalidated_at is not None and self.record.born_at <= self.invalidated_at

    def has_expired(self, now: float) -> bool:
        """Whether it has expired; it may still be kept to be served stale."""
        return self.record.expires_at is not None and self.record.expires_at <= now


async def walk(store: ResponseStore, name: str) -> AsyncIterator[Entry]:
    """Yield every entry of an open store, by id. Raises UnsupportedByStore, StoreUnavailable."""
    if not (isinstance(store, SupportsScan) and isinstance(store, SupportsInvalidation)):
        raise UnsupportedByStore(
            f"response store {name!r} cannot be walked: it is no SupportsScan with SupportsInvalidation"
        )
    after = b""
    while page := await store.scan(after=after, limit=PAGE):
        for id, stored in page:
            try:
                record = record_codec.decode(stored.data)
            except (record_codec.Undecodable, record_codec.NewerVersion):
                continue  # The mark of a rejected answer, or an entry of another version: skip it.
            yield Entry(id, record, len(stored.data), stored.invalidated_at, stored.tags)
        after = page[-1][0]
