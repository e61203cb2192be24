"""The proxy's parts, served on real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from starlette.types import ASGIApp

from semcache_proxy.forward import Forward
from semcache_proxy.loopback import Served
from semcache_proxy.upstream import ForwardOptions, Upstream

from .raw_http import Listening, RawUpstream, Talk


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as exits:
        yield exits


@pytest.fixture
def served(stack: ExitStack) -> Callable[[ASGIApp], str]:
    def start(app: ASGIApp) -> str:
        return stack.enter_context(Served(app)).url

    return start


@pytest.fixture
def forwarding(stack: ExitStack) -> Callable[..., str]:
    """Serve a forward-only proxy, as ``create_app`` wraps it, and return where it listens."""

    def start(upstream: str, **options: object) -> str:
        from semcache_proxy.edge import Edge

        app = Edge(Forward(Upstream.parse(upstream), options=ForwardOptions(**options)))  # type: ignore[arg-type]
        return stack.enter_context(Served(app)).url

    return start


@pytest.fixture
def raw_upstream(stack: ExitStack) -> Listening:
    def start(talk: Talk) -> str:
        upstream = RawUpstream(talk)
        stack.callback(upstream.close)
        return upstream.url

    return start
