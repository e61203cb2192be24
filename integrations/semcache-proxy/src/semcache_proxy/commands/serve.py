"""``semcache serve``: the cache in front of an LLM service."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import socket
from pathlib import Path

import click
import uvicorn

from semcache_core.cli.options import config_option
from semcache_core.errors import ConfigError
from semcache_proxy.app import create_app
from semcache_proxy.listening import bound, is_itself, refusal
from semcache_proxy.loopback import AS_PROXY
from semcache_proxy.upstream import ForwardOptions, Upstream, inject_headers

_ENV = re.compile(r"\{env=(\w+)\}")
_MISSPELT = re.compile(r"\{\s*\w+\s*[=:}]")
"""What looks like a variable and is none: `{LLM_KEY}`, `{env:LLM_KEY}`. It would be sent as it is written."""
_CUT_OFF = "ASGI callable returned without completing response."
_SOME = click.FloatRange(0, min_open=True)


@click.command()
@click.option("--upstream", required=True, metavar="URL", help="The LLM service, for example https://llm.example.")
@config_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--drain",
    default=30,
    show_default=True,
    type=click.IntRange(0),
    help="Seconds that running requests get at shutdown.",
)
@click.option("--connect-timeout", default=10.0, show_default=True, type=_SOME, help="Seconds to reach the upstream.")
@click.option(
    "--read-timeout", default=600.0, show_default=True, type=_SOME, help="Seconds between two pieces of an answer."
)
@click.option(
    "--max-connections", default=512, show_default=True, type=click.IntRange(1), help="Connections to the upstream."
)
@click.option("--http2", is_flag=True, help="Speak HTTP/2 to the upstream; needs the extra `http2`.")
@click.option("--trust-env", is_flag=True, help="Let HTTP_PROXY, NO_PROXY and SSL_CERT_FILE count.")
@click.option(
    "--set-header",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Replace a header on the way up; {env=NAME} stands for a variable. Never part of a caller's identity. "
    "A credential beyond loopback needs http.callers in the configuration.",
)
@click.option(
    "--access-log/--no-access-log",
    default=False,
    show_default=True,
    help="One line a request, with its path; credentials in the query are not shown.",
)
def serve(
    upstream: str, file: Path | None, host: str, port: int, drain: int, set_header: tuple[str, ...], **options: object
) -> None:
    """Serve the cache as a reverse proxy: requests for PATH here go to the upstream's PATH.

    Point an SDK's base_url here. On loopback, callers without a credential share one cache; on any other address they
    are passed through, not cached.
    """
    access_log = bool(options.pop("access_log"))
    host = host.strip("[]")
    loopback = is_loopback(host)
    if is_itself(Upstream.parse(upstream), host=host, port=port):
        raise ConfigError(f"--upstream {upstream} is where this proxy itself would listen: set --port to another one")
    forward = ForwardOptions(injected=read_headers(set_header), **options)  # type: ignore[arg-type]
    app = create_app(upstream, config=file, loopback=loopback, forward=forward)
    sockets = bound(host, port)
    if not loopback:
        click.echo("semcache: listening beyond this machine; requests without a credential are not cached", err=True)
    server = _Announced(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=access_log,
            log_level="info" if access_log else "warning",
            timeout_graceful_shutdown=drain,
            **AS_PROXY,
        )
    )
    server.upstream = upstream.rstrip("/")
    logging.getLogger("uvicorn.error").addFilter(_is_news)  # After the Config, which configures uvicorn's loggers.
    click.echo("semcache: opening the cache", err=True)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets)
    except OSError as error:
        # Another program began to listen there while the cache was opened.
        raise refusal(error, host, port) from error


class _Announced(uvicorn.Server):
    """A server that prints its address once it listens: opening the cache may load a model first."""

    upstream = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            # The reason is already printed. Exit status 2 for a wrong configuration, else 1.
            raise SystemExit(2 if self.lifespan.should_exit else 1) from None
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            click.echo(f"semcache: http://{host}:{port}/PATH -> {self.upstream}/PATH", err=True)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop uvicorn's log lines about answers that are cut off on purpose: their reason is already logged."""
    error = record.exc_info[1] if record.exc_info else None
    # Requests still running after --drain seconds are cancelled: uvicorn logs a line about it, then a traceback.
    return not isinstance(error, asyncio.CancelledError) and record.getMessage() != _CUT_OFF


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def read_headers(lines: tuple[str, ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header fields of ``NAME: VALUE`` lines, with variables expanded. Raises ConfigError."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon:
            raise ConfigError("--set-header wants 'NAME: VALUE'")
        if name in fields:
            raise ConfigError(f"--set-header {name!r}: it is set twice; leave one out")
        if _MISSPELT.search(_ENV.sub("", value)):
            raise ConfigError(
                f"--set-header {name!r}: a variable is written {{env=NAME}}; a value with braces goes into one"
            )
        fields[name] = _ENV.sub(_variable, value).strip()
    return inject_headers(fields)


def _variable(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if value is None or not value.strip():
        what = "not set" if value is None else "empty"
        raise ConfigError(f"--set-header names the environment variable {match[1]}, which is {what}")
    return value
