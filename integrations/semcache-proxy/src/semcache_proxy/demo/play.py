"""Runs the demo: starts the servers, sends the requests, returns the answers for the report."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import msgspec
from rich.console import Console

from semcache_core.errors import SemcacheError
from semcache_core.types import Quiet
from semcache_proxy.app import create_app
from semcache_proxy.loopback import Served

from .exchange import Seen, Step, send
from .script import QUESTION
from .upstream import stand_in

_PATIENCE = 300.0


class Stage(Quiet, msgspec.Struct, frozen=True, kw_only=True):
    """The demo's servers and credential."""

    proxy: str
    model: str
    debug_token: str
    key: str | None = None
    """The credential for a real upstream; with the stand-in, each caller has its own."""

    __repr__ = object.__repr__

    def key_of(self, caller: str) -> str:
        """Return the API key that ``caller`` sends. A real upstream has only one: other callers get one it refuses."""
        return self.key if self.key is not None and caller == "alice" else f"demo-key-of-{caller}"


def configuration(*, without: Sequence[str], debug_token: str) -> dict[str, Any]:
    """Return the configuration of the demo's proxy: defaults, memory stores and debug headers."""
    return {
        "semcache": {"namespace": "demo"},
        "vector_store": {"use": "memory"},
        "response_store": {"use": "memory"},
        "verifiers": {"use": [name for name in ("text-guard",) if name not in without]},
        "http": {"debug_token": debug_token},
    }


@contextmanager
def staged(
    console: Console, *, upstream: str | None, model: str, key: str | None, without: Sequence[str]
) -> Iterator[Stage]:
    """Start the stand-in (unless ``upstream`` is a real server) and the proxy in front of it; stop both at the end."""
    debug_token = secrets.token_urlsafe(24)
    with ExitStack() as stack:
        if upstream is None:
            upstream = stack.enter_context(Served(stand_in())).url
            console.print(f"upstream  {upstream}  a stand-in that takes 0.6 s over an answer")
        else:
            console.print(f"upstream  {upstream}")
        app = create_app(upstream, config=configuration(without=without, debug_token=debug_token), loopback=True)
        console.print("proxy     starting")
        with console.status("a moment"):
            # Print errors: a broken plugin is reported only while the server starts.
            proxy = stack.enter_context(Served(app, log_level="error")).url
        console.print(
            f"proxy     {proxy}  semcache with its defaults{''.join(f', without {name}' for name in without)}\n"
        )
        yield Stage(proxy=proxy, model=model, debug_token=debug_token, key=key)


def play(console: Console, stage: Stage, steps: Sequence[Step]) -> list[Seen]:
    """Send the steps in order through the proxy and return the facts of each answer.

    Raises httpx.HTTPError, and SemcacheError if the first answer is an error: then there is nothing to show.
    """
    seen = []
    with httpx.Client(base_url=stage.proxy, timeout=_PATIENCE, trust_env=False) as client:
        for step in steps:
            with console.status(f"asking: {step.prompt}"):
                key = stage.key_of(step.caller)
                seen.append(send(client, step, model=stage.model, key=key, debug_token=stage.debug_token))
            if seen[0].status >= 400:
                raise SemcacheError(
                    f"the first request was answered {seen[0].status}: is --upstream where the service listens, "
                    "--model one that it has, and OPENAI_API_KEY a key of it?"
                )
    return seen


def curl_line(stage: Stage) -> str:
    """Return a shell line that repeats the first request."""
    body = json.dumps({"model": stage.model, "messages": [{"role": "user", "content": QUESTION}]})
    # A real credential stays out of the terminal.
    key = "$OPENAI_API_KEY" if stage.key is not None else stage.key_of("alice")
    return (
        f"curl -si {stage.proxy}/v1/chat/completions -H 'content-type: application/json' "
        f"-H \"authorization: Bearer {key}\" -d '{body}'"
    )
