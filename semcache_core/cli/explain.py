"""``semcache explain``: why a request would hit or miss, and what the nearest entry has that it has not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
from msgspec import Meta

from semcache_core.cli.entries import Entry, config_option, walk
from semcache_core.cli.group import Misused
from semcache_core.cli.output import add_rows, console, duration_text, table
from semcache_core.config import Config, load
from semcache_core.engine import record_codec
from semcache_core.errors import SemcacheError
from semcache_core.http.context import DriverContext
from semcache_core.http.request import CacheableRequest, RequestHead, identify
from semcache_core.http.route import Deployment, Route
from semcache_core.keys.digests import members_of
from semcache_core.protocols import SupportsInvalidation, SupportsScan
from semcache_core.runtime.opening import open_cache
from semcache_core.runtime.registry import Registry
from semcache_core.types import Bypass, Match, Penalty, Query, Reject

NEIGHBOURS = 5
_LONGEST_TEXT = 100

Row = tuple[str, str]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: one request."""

    path: Annotated[str, Meta(pattern="^/")]
    method: str = "POST"
    scheme: str = "http"
    mount: str = ""
    headers: dict[str, str] = {}
    body: Any = ""


@click.command()
@click.argument("request", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="REQUEST.json")
@config_option
@click.option("--upstream", default="", metavar="URL", help="The proxy's --upstream; leave out for a middleware.")
@click.option("--public", is_flag=True, help="The proxy listens beyond this machine: no credential, no answer.")
def explain(request: Path, file: Path | None, upstream: str, public: bool) -> None:
    """Say what the cache would make of a request, and why. Nothing is stored or counted.

    REQUEST.json holds {"method": "POST", "path": "/v1/chat/completions", "headers": {"host": "...", "authorization":
    "..."}, "body": {...}}, as the cache sees it: the host and the credential are part of who asks.
    """
    config = load(file)
    place = Deployment(upstream=upstream.rstrip("/"), anonymous=bool(upstream) and not public)
    rows = asyncio.run(_explained(config, read(request), place))
    out = console()
    out.print(add_rows(table("what", "is"), rows))


def read(path: Path) -> Asked:
    """Return the request that a file holds. Raises Misused."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Asked)
    except msgspec.MsgspecError as error:
        raise Misused(f"{path}: {error}; it holds method, path, headers and body") from error


def call_of(asked: Asked) -> tuple[RequestHead, bytes]:
    """Return the request as a driver would have it: head and body."""
    path, _, query = asked.path.partition("?")
    headers = {name.lower(): value for name, value in asked.headers.items()}
    headers.setdefault("host", "127.0.0.1:8080")
    raw = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())
    body = asked.body if isinstance(asked.body, str) else json.dumps(asked.body, ensure_ascii=False)
    call = RequestHead(
        method=asked.method.upper(),
        scheme=asked.scheme,
        mount=asked.mount,
        path=path.encode("latin-1"),
        query=query.encode("latin-1"),
        headers=raw,
    )
    return call, body.encode()


async def _explained(config: Config, asked: Asked, place: Deployment) -> list[Row]:
    try:
        call, body = call_of(asked)
    except UnicodeEncodeError as error:
        raise Misused("the request's path and headers are no HTTP: percent-encode what is not Latin-1") from error
    async with AsyncExitStack() as stack:
        opened = await open_cache(stack, config, registry=Registry.installed(), clock=time.time, instances={})
        # A command that looks changes nothing: no entry is deleted or mended because it was met.
        await opened.engine.maintenance.close()
        context = DriverContext(opened, place)
        route = context.resolve(call.method, call.path)
        if route is None:
            return [("decision", "not for the cache: no key extractor claims this method and path, or mode is off")]
        asking = identify(context, route, call, body, now=time.time())
        if asking is None:
            return [("decision", f"not for the cache: {route.protocol} does not know it after all")]
        if isinstance(asking, Bypass):
            return [("claimed by", route.protocol), ("decision", f"bypass: {asking.reason}")]
        return await Explanation(context, route, asking, config).rows()


class Explanation:
    """Finds out about one request, step by step, in the order in which the cache decides."""

    def __init__(self, context: DriverContext, route: Route, asking: CacheableRequest, config: Config) -> None:
        self._context, self._route, self._asking, self._config = context, route, asking, config
        self._engine, self._query = context.engine, asking.query or asking.read()

    async def rows(self) -> list[Row]:
        """Return what there is to say."""
        policy, query = self._asking.route.policy, self._query
        found = await self._engine.find(query, policy=policy, directives=self._asking.profile.directives)
        hit = found.record is not None
        similarity = f", similarity {found.similarity:.4f}" if found.similarity is not None else ""
        rows = [
            ("claimed by", f"{self._route.protocol}; route {policy.route or '(none)'}, mode {policy.mode}"),
            (
                "key",
                f"who and where {_short(query.partition)}, request {_short(query.exact)}, scope {_short(query.scope)}",
            ),
            ("matching", self._matching()),
            ("decision", f"{found.outcome}: {found.reason}{similarity}"),
        ]
        if hit and found.source == "exact":
            return rows
        near = [] if query.exact_only is not None else await self._near()
        return [*rows, *near] if hit else [*rows, *near, *await self._elsewhere()]

    def _matching(self) -> str:
        policy, query = self._asking.route.policy, self._query
        if policy.match == "exact":
            return 'equal requests only: match = "exact", or there is no embedder'
        if query.exact_only is not None:
            return f"equal requests only: {query.exact_only}"
        return f"by meaning, from similarity {policy.threshold:g}, of the text {_quoted(query.text)}"

    async def _near(self) -> list[Row]:
        """Tell of the nearest entries of the same scope, however far."""
        parts = self._engine.parts
        if parts.embedder is None or not self._query.text:
            return []
        try:
            (vector,) = await parts.embedder.embed([self._query.text])
            matches = await parts.vectors.search(
                vector, scope=self._query.store_scope, limit=NEIGHBOURS, floor=0.0, now=time.time()
            )
            stored = await parts.responses.get([match.id for match in matches], now=time.time())
        except SemcacheError as error:
            return [("nearest", f"not known: {type(error).__name__}")]
        rows: list[Row] = []
        for match, held in zip(matches, stored, strict=True):
            if held is not None:
                rows.append(
                    ("nearest" if not rows else "", await self._judged(match, record_codec.decode(held.data).text))
                )
        return rows or [("nearest", "no entry has this scope: nothing was asked under these settings before")]

    async def _judged(self, match: Match, text: str) -> str:
        threshold = self._asking.route.policy.threshold
        said = f"{match.similarity:.4f}  {_quoted(text)}  entry {_short(match.id)}"
        if match.similarity < threshold:
            return f"{said}: below the threshold {threshold:g}"
        for verifier in self._engine.parts.verifiers:
            verdict = await verifier.verify(self._query.text, text)
            if isinstance(verdict, Reject):
                return f"{said}: {type(verifier).__name__} rejects: {verdict.reason}"
            if isinstance(verdict, Penalty):
                said += f": {type(verifier).__name__} takes {verdict.amount:g} off: {verdict.reason}"
        return said

    async def _elsewhere(self) -> list[Row]:
        """Tell of the entry of another scope that differs least."""
        responses = self._engine.parts.responses
        if not (isinstance(responses, SupportsScan) and isinstance(responses, SupportsInvalidation)):
            return [("elsewhere", "not known: this response store cannot be walked")]
        best: tuple[tuple[Any, ...], Entry, list[str]] | None = None
        async for entry in walk(responses, self._config.response_store.use):
            if entry.record.scope == self._query.scope and entry.record.partition == self._query.partition:
                continue
            differing = differences(self._query, entry)
            # The fewest differences; among equals the same text, then the youngest.
            rank = (len(differing), entry.record.text != self._query.text, -entry.record.born_at)
            if best is None or rank < best[0]:
                best = (rank, entry, differing)
        if best is None:
            return [("elsewhere", "the store holds no other entry")]
        _, entry, differing = best
        age = duration_text(float(round(time.time() - entry.record.born_at))).strip('"')
        return [
            (
                "elsewhere",
                f"entry {_short(entry.id)}, {age} old, differs in: {', '.join(differing) or 'an unnamed part'}",
            )
        ]


def differences(query: Query, entry: Entry) -> list[str]:
    """Name what keeps an entry from answering a query: who asks, headers, members, the text."""
    record = entry.record
    differing = ["who asks, or where (credential, host, path, upstream)"] if record.partition != query.partition else []
    own, other = dict(members_of(query.fields)), dict(members_of(record.fields))
    names: Mapping[str, None] = dict.fromkeys([*own, *other])
    differing += [name for name in names if own.get(name) != other.get(name)]
    return differing


def _short(digest: bytes) -> str:
    return digest.hex()[:12]


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}...", ensure_ascii=False)
