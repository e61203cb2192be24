"""``semcache purge``: delete entries by tag, by namespace, by age, or all of them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import click
import msgspec

from semcache_core.cli.entries import PAGE, Entry, exists, opened_alone, walk
from semcache_core.cli.group import Failed
from semcache_core.cli.options import config_option
from semcache_core.config import Config, load
from semcache_core.engine.freshness import parse_duration
from semcache_core.errors import ConfigError, DependencyError
from semcache_core.keys.digests import namespace_tag, tag_digest
from semcache_core.protocols import ResponseStore
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.opening import Runtime, open_cache
from semcache_core.runtime.registry import Registry


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries to purge. ``tag`` is a digest that they must have (None: every entry)."""

    tag: bytes | None
    before: float | None

    def __call__(self, entry: Entry) -> bool:
        """Say whether an entry is selected."""
        tagged = self.tag is None or self.tag in entry.tags
        return tagged and (self.before is None or entry.record.born_at <= self.before)


@click.command()
@config_option
@click.option("--tag", help="Entries with this tag, in the namespace.")
@click.option("--namespace", help="Entries of this namespace; default: the configured one.")
@click.option("--before", metavar="WHEN", help="Only entries born before: 2026-01-31, 2026-01-31T12:00, or `7d` ago.")
@click.option("--everything", is_flag=True, help="All entries of all namespaces in this store.")
@click.option("--yes", is_flag=True, help="Really do it; without, only count.")
def purge(
    file: Path | None, tag: str | None, namespace: str | None, before: str | None, everything: bool, yes: bool
) -> None:
    """Forget stored answers. Without --yes nothing changes: the entries are only counted.

    Running processes that share the store never serve a purged entry again, not even stale.
    """
    if everything and (tag is not None or namespace is not None):
        raise click.UsageError("--everything leaves nothing to select: give it without --tag and --namespace")
    if not everything and tag is None and namespace is None and before is None:
        raise click.UsageError("say what to forget: --tag, --namespace, --before or --everything")
    config = load(file)
    selection = select(config, tag=tag, namespace=namespace, before=before, everything=everything)
    held, meant = asyncio.run(_purged(config, selection) if yes else _counted(config, selection))
    if yes:
        click.echo(f"forgot {meant:,} of {held:,} entries")
    else:
        click.echo(f"would forget {meant:,} of {held:,} entries; nothing was changed, --yes does it")
    if not held:
        click.echo("A cache that keeps its answers in memory is known to its own process only: restart that.")


def select(
    config: Config, *, tag: str | None, namespace: str | None, before: str | None, everything: bool
) -> Selection:
    """Return the selection that the options describe."""
    own = namespace if namespace is not None else config.cache.namespace
    digest = None if everything else namespace_tag(own) if tag is None else tag_digest(own, tag)
    return Selection(tag=digest, before=None if before is None else moment(before, now=time.time()))


def moment(text: str, *, now: float) -> float:
    """Return when ``2026-01-31``, ``2026-01-31T12:00+02:00`` or ``7d`` (ago) was, seconds since the epoch."""
    try:
        if re.fullmatch(r"[\d.]+ ?[a-z]+", text):
            return now - (parse_duration(text) or 0.0)
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise click.UsageError(
            f"--before wants a date such as 2026-01-31 or an age such as 7d, not {text!r}"
        ) from error


async def _counted(config: Config, selection: Selection) -> tuple[int, int]:
    held, ids = await _selected(config, selection)
    return held, len(ids)


async def _purged(config: Config, selection: Selection) -> tuple[int, int]:
    # First without a change: a store that cannot be read as it is stays as it is, and is not begun anew.
    held, _ = await _selected(config, selection)
    if not held and not exists(assemble(config, Registry.installed()).response_store):
        return 0, 0  # A process about to write would have created it.
    async with AsyncExitStack() as stack:
        opened = await _opened(stack, config)
        held, ids = await _walked(opened.engine.parts.responses, config, selection)
        if selection.tag is not None:
            # The invalidation also covers entries that other processes are about to write or hold in memory.
            await opened.engine.invalidate((selection.tag,), before=selection.before)
        await _delete(opened, ids)
        return held, len(ids)


async def _selected(config: Config, selection: Selection) -> tuple[int, list[bytes]]:
    store = assemble(config, Registry.installed()).response_store
    if not exists(store):
        return 0, []
    async with opened_alone(store, "response_stores") as opened:
        return await _walked(opened, config, selection)


async def _walked(store: ResponseStore, config: Config, selection: Selection) -> tuple[int, list[bytes]]:
    """Return how many entries the store holds, and the ids of the selected ones."""
    held, ids = 0, []
    async for entry in walk(store, config.response_store.use):
        held += 1
        if selection(entry):
            ids.append(entry.id)
    return held, ids


async def _opened(stack: AsyncExitStack, config: Config) -> Runtime:
    """Open the cache, without its embedder if that fails: an answer must be purged even without the model."""
    try:
        return await _entered(stack, config)
    except (ConfigError, DependencyError) as error:
        # Any other failure occurs again.
        opened = await _entered(stack, config, embedder=None)
        click.echo(f"semcache: {error}; vectors are left behind, useless, until they are met or expire", err=True)
        return opened


async def _entered(stack: AsyncExitStack, config: Config, **instances: None) -> Runtime:
    async with AsyncExitStack() as trying:
        opened = await open_cache(trying, config, registry=Registry.installed(), clock=time.time, instances=instances)
        stack.push_async_exit(trying.pop_all())
    return opened


async def _delete(opened: Runtime, ids: Sequence[bytes]) -> None:
    parts = opened.engine.parts
    try:
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            # The vector first: a vector without an answer is a miss, an answer without its vector would still be found.
            if parts.embedder is not None:
                await parts.vectors.delete(page)
            await parts.responses.delete(page)
    except DependencyError as error:
        raise Failed(f"the store failed before everything was deleted: {error}; run it again") from error
