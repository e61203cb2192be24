"""``semcache stats``: the contents of the configured store, or the counters of a running proxy."""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import click
import msgspec

from semcache_core.cli.entries import exists, opened_alone, walk
from semcache_core.cli.group import Failed
from semcache_core.cli.options import config_option
from semcache_core.cli.output import add_rows, console, meaning, table
from semcache_core.config import Config, load
from semcache_core.config.sources import DEBUG_TOKEN_VARIABLE
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.registry import Registry

PAGE = "/.semcache/stats"
_TIMEOUT = 5.0
_CODED = frozenset({"miss_reasons", "bypasses", "unstored"})
_HINTS = {
    403: f"; set {DEBUG_TOKEN_VARIABLE}",
    404: "; is it a semcache proxy?",
    503: "; its cache is not open: the proxy's log says why",
}


class Held(msgspec.Struct):
    """The counts of a store."""

    entries: int = 0
    exact_only: int = 0
    expired: int = 0
    invalidated: int = 0
    bytes: int = 0
    oldest: float | None = None
    newest: float | None = None


@click.command()
@config_option
@click.option("--url", metavar="URL", help=f"Ask a running proxy instead, for example http://127.0.0.1:8080{PAGE}.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats(file: Path | None, url: str | None, as_json: bool) -> None:
    """Count what the configured response store holds, or show the counters of a running proxy.

    The store has the number of answers; only the process that serves them knows hits and misses: ask it with
    --url. A proxy that listens beyond this machine wants its debug token, in the variable SEMCACHE_DEBUG_TOKEN.
    """
    values = _asked(url) if url is not None else msgspec.to_builtins(asyncio.run(_held(load(file))))
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    out = console()
    if url is not None:
        reasons = Registry.installed().reasons()
        rows = [
            (title, _cell(name, value), meaning(reasons, name) if coded else "")
            for title, name, value, coded in _flat(values)
        ]
        out.print(add_rows(table("what", "count", "what it means, and what to do"), rows))
        return
    counts = [(title, _cell(name, value)) for title, name, value, _ in _flat(values)]
    out.print(add_rows(table("what", "count"), counts))
    if not values["entries"]:
        out.print("A cache that keeps its answers in memory is known to its own process only: ask it with --url.")


async def _held(config: Config) -> Held:
    components = assemble(config, Registry.installed())
    now, held = time.time(), Held()
    if not exists(components.response_store):
        return held
    async with opened_alone(components.response_store, "response_stores") as store:
        async for entry in walk(store, config.response_store.use):
            record = entry.record
            held.entries += 1
            held.exact_only += record.exact_only or not record.text
            held.expired += entry.has_expired(now)
            held.invalidated += entry.is_dead
            held.bytes += entry.size
            held.oldest = record.born_at if held.oldest is None else min(held.oldest, record.born_at)
            held.newest = record.born_at if held.newest is None else max(held.newest, record.born_at)
    return held


def _asked(url: str) -> Any:
    address = url if url.rstrip("/").endswith(PAGE) else url.rstrip("/") + PAGE
    if not address.startswith(("http://", "https://")):
        raise click.UsageError(f"--url wants an address that begins with http:// or https://, not {url!r}")
    token = os.environ.get(DEBUG_TOKEN_VARIABLE)
    headers = {} if token is None else {"Semcache-Debug": token}
    try:
        request = urllib.request.Request(address, headers=headers)  # noqa: S310  checked above
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310  checked above
            values = json.load(answer)
            if not isinstance(values, dict):
                raise TypeError("it answered with something else")
            return values
    except urllib.error.HTTPError as error:
        error.close()
        raise Failed(f"{address} answered {error.code} {error.reason}{_HINTS.get(error.code, '')}") from error
    except (OSError, ValueError, TypeError, RecursionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Failed(f"{address} gave no statistics: {reason}; is a proxy running there?") from error


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, str, Any, bool]]:
    """Yield title, name and value of every counter, and whether the name is a reason code."""
    for name, value in values.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            coded = name in _CODED
            yield from ((f"{title}: {each}", each, count, coded) for each, count in value.items())
        else:
            yield title, name, value, False


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("oldest", "newest"):
        return datetime.fromtimestamp(value, UTC).isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)
