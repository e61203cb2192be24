"""``semcache explain``: why a request would hit or miss, and how the nearest entry differs."""

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

from semcache_core.cli.entries import opened_to_look
from semcache_core.cli.explanation import Explanation, Question, Row
from semcache_core.cli.group import Misused
from semcache_core.cli.options import config_option
from semcache_core.cli.output import add_rows, console, reason_rows, table
from semcache_core.config import Config, load
from semcache_core.engine.decide import Directives
from semcache_core.http.context import DriverContext
from semcache_core.http.request import RequestHead, identify
from semcache_core.http.route import Deployment
from semcache_core.reasons import Reason
from semcache_core.runtime.opening import Runtime
from semcache_core.runtime.registry import Registry
from semcache_core.types import Bypass, Quiet


class Asked(Quiet, msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request in the file."""

    path: Annotated[str, Meta(pattern="^/")]
    method: str = "POST"
    scheme: str = "http"
    mount: str = ""
    headers: dict[str, str] = {}
    body: Any = ""


class Call(Quiet, msgspec.Struct, frozen=True):
    """One call of the library: ``cache.lookup(prompt, context=context)``."""

    prompt: str
    context: Any = None


@click.command()
@click.argument(
    "request",
    required=False,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="[REQUEST.json]",
)
@config_option
@click.option("--prompt", metavar="TEXT", help="Explain `cache.lookup(TEXT)` instead of a request.")
@click.option("--context", metavar="JSON", help="The `context=` of that call.")
@click.option("--upstream", default="", metavar="URL", help="The proxy's --upstream; leave out for a middleware.")
@click.option("--public", is_flag=True, help="The proxy listens beyond this machine: no credential, no answer.")
def explain(
    request: Path | None, file: Path | None, prompt: str | None, context: str | None, upstream: str, public: bool
) -> None:
    """Say what the cache would make of a request, and why. Nothing is stored or counted.

    REQUEST.json holds {"method": "POST", "path": "/v1/chat/completions", "headers": {"host": "...", "authorization":
    "..."}, "body": {...}}, as the cache sees it: the host and the credential are part of the identity. For a call of
    the library give --prompt, and --context if the call has one.
    """
    asked = _asked(request, prompt, context)
    place = Deployment(upstream=upstream.rstrip("/"), anonymous=bool(upstream) and not public)
    rows = asyncio.run(_explained(load(file), asked, place))
    console().print(add_rows(table("what", "is"), rows))


def _asked(request: Path | None, prompt: str | None, context: str | None) -> Asked | Call:
    if (request is None) == (prompt is None):
        raise click.UsageError("name a file that holds a request, or give --prompt")
    if request is not None:
        if context is not None:
            raise click.UsageError("--context goes with --prompt; a request has its own")
        return read(request)
    try:
        return Call(prompt or "", None if context is None else json.loads(context))
    except (ValueError, RecursionError) as error:
        raise Misused(f"--context is no JSON that can be read: {error}") from error


def read(path: Path) -> Asked:
    """Return the request in a file. Raises Misused."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Asked)
    except (msgspec.MsgspecError, RecursionError, OSError) as error:
        raise Misused(f"{path}: {error}; it holds method, path, headers and body") from error


def call_of(asked: Asked) -> tuple[RequestHead, bytes]:
    """Return the request as a driver receives it: head and body."""
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


async def _explained(config: Config, asked: Asked | Call, place: Deployment) -> list[Row]:
    registry = Registry.installed()
    reasons = registry.reasons()
    async with AsyncExitStack() as stack:
        runtime = await opened_to_look(stack, config, registry)
        question = _call(runtime, asked) if isinstance(asked, Call) else _request(runtime, asked, place, reasons)
        return question if isinstance(question, list) else await Explanation(runtime, question, reasons).rows()


def _call(runtime: Runtime, asked: Call) -> Question:
    try:
        query = runtime.keys.of(asked.prompt, asked.context)
    except TypeError as error:
        raise Misused(str(error)) from error
    if isinstance(query, Bypass):
        raise Misused(f"the prompt cannot be put into a key: {query.reason}")
    return Question(
        query=query,
        policy=runtime.policy,
        directives=Directives(),
        asked_by="the library",
        partition="who asks (namespace, cached function, or over HTTP)",
    )


def _request(runtime: Runtime, asked: Asked, place: Deployment, reasons: Mapping[str, Reason]) -> Question | list[Row]:
    """Return the question of a request, or rows that say why it has none."""
    try:
        call, body = call_of(asked)
    except UnicodeEncodeError as error:
        raise Misused("the request's path and headers are no HTTP: percent-encode what is not Latin-1") from error
    except RecursionError as error:
        raise Misused("the request's body is nested too deeply") from error
    context = DriverContext(runtime, place)
    route = context.resolve(call.method, call.path)
    if route is None:
        return [("decision", "not for the cache: no key extractor claims this method and path, or mode is off")]
    asking = identify(context, route, call, body, now=time.time())
    if asking is None:
        return [("decision", f"not for the cache: {route.protocol} does not know it after all")]
    if isinstance(asking, Bypass):
        rows = [("claimed by", route.protocol), ("decision", f"bypass: {asking.reason}")]
        return rows + reason_rows(reasons, asking.reason)
    return Question(
        query=asking.query or asking.read(),
        policy=asking.route.policy,
        directives=asking.profile.directives,
        asked_by=route.protocol,
        partition="who asks, or where (credential, host, path, upstream)",
    )
