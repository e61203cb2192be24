"""A configured response store, opened alone and walked, for the commands that count, purge and explain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from semcache_core.engine import record_codec
from semcache_core.errors import UnsupportedByStore
from semcache_core.protocols import ResponseStore, SupportsInvalidation, SupportsNotices, SupportsScan
from semcache_core.runtime.opening import usable
from semcache_core.runtime.registry import Kind
from semcache_core.types import Record

PAGE = 1000

config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The configuration; else semcache.toml, SEMCACHE_CONFIG or the defaults, as everywhere.",
)


@asynccontextmanager
async def opened_alone(component: Any, kind: Kind) -> AsyncIterator[Any]:
    """Open a component alone, and say on standard error what it has to tell, for example of a file set aside."""
    async with component as opened:
        ready = usable(component, opened, kind)
        if isinstance(ready, SupportsNotices):
            for message in ready.notices():
                click.echo(f"semcache: {message}", err=True)
        yield ready


class Entry(msgspec.Struct, frozen=True):
    """One entry of a response store."""

    id: bytes
    record: Record
    size: int
    """Bytes, as stored."""
    invalidated_at: float | None
    tags: tuple[bytes, ...]

    @property
    def is_dead(self) -> bool:
        """Whether it was invalidated: born at or before the newest stamp of its tags."""
        return self.invalidated_at is not None and self.record.born_at <= self.invalidated_at

    def has_expired(self, now: float) -> bool:
        """Whether its life is over; it may still be kept to be served stale."""
        return self.record.expires_at is not None and self.record.expires_at <= now


async def walk(store: ResponseStore, name: str) -> AsyncIterator[Entry]:
    """Yield every entry of an open store, by id. Raises UnsupportedByStore, StoreUnavailable."""
    if not (isinstance(store, SupportsScan) and isinstance(store, SupportsInvalidation)):
        raise UnsupportedByStore(f"response store {name!r} cannot be walked: it is no SupportsScan with SupportsStamps")
    after = b""
    while page := await store.scan(after=after, limit=PAGE):
        for id, stored in page:
            try:
                record = record_codec.decode(stored.data)
            except (record_codec.Undecodable, record_codec.NewerVersion):
                continue  # A note of a rejected answer, or an entry of another version: not for this program.
            yield Entry(id, record, len(stored.data), stored.invalidated_at, stored.tags)
        after = page[-1][0]
