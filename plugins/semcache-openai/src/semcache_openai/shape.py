"""What the member names of a chat request require, computed once for each set of names; and reasons for a bypass."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from semcache_core.authoring.json_form import check_names
from semcache_core.reasons import Code
from semcache_core.types import Bypass, Quiet

from .names import (
    CHOOSABLE_TOOLS,
    DELIVERY,
    END_USER,
    EXACT,
    FOLDED_TOOL,
    FOLDED_TOP,
    LEFT_OUT,
    LIVE,
    SAMPLING,
    TOOL,
    TOP,
)

__all__ = ["CONTAINERS", "MALFORMED", "Shape", "is_on", "shape_of", "why_bypassed"]

CONTAINERS = (dict, list)
MALFORMED: Code = "malformed-request"
_REMEMBERED = 1024


class Shape(Quiet, msgspec.Struct, frozen=True):
    """What the member names of a body require."""

    left_out: tuple[str, ...]
    sampling: tuple[str, ...]
    others: tuple[str, ...]
    live: bool
    """Some member may make the answer depend on the outside world."""
    end_user: bool
    delivery: bool
    """Some member besides ``stream`` affects the delivery of the answer."""
    exact: bool
    """Some member may make the request exact-only."""


_shapes: dict[tuple[str, ...], Shape] = {}


def shape_of(body: dict[str, Any]) -> Shape:
    """Return the shape of ``body``. Raises Ambiguous for a name that differs from a known one only in case."""
    names = tuple(body)
    shape = _shapes.get(names)
    if shape is None:
        shape = _read(names)
        # Known names are few and short; a caller's names may be neither, and the cache would keep them for ever.
        if len(_shapes) < _REMEMBERED and TOP.issuperset(names):
            _shapes[names] = shape
    return shape


def _read(names: tuple[str, ...]) -> Shape:
    check_names(names, FOLDED_TOP)
    return Shape(
        left_out=tuple(name for name in names if name in LEFT_OUT),
        sampling=tuple(name for name in names if name in SAMPLING),
        others=tuple(name for name in names if name not in LEFT_OUT | SAMPLING | {"messages"}),
        live=not LIVE.isdisjoint(names),
        end_user=not END_USER.isdisjoint(names),
        delivery=not DELIVERY.isdisjoint(names),
        exact=not EXACT.isdisjoint(names),
    )


def is_on(value: object) -> bool:
    """Say whether an optional member requests anything."""
    return value is not None and value is not False


def why_bypassed(body: dict[str, Any], shape: Shape) -> Bypass | None:
    """Return why the request bypasses the cache: its meaning is unknown, or its answer is not a function of it."""
    messages = body.get("messages")
    if type(messages) is not list or not messages:
        return Bypass(reason=MALFORMED)
    streamed = body.get("stream")
    if streamed is not None and type(streamed) is not bool:
        return Bypass(reason=MALFORMED)
    model = body.get("model")
    if type(model) is str and (_searches(model) if len(model) <= 128 else _searches.__wrapped__(model)):
        return Bypass(reason="live-data")
    return _why_live(body) if shape.live else None


@lru_cache(maxsize=512)
def _searches(model: str) -> bool:
    """Say whether the model, by its name, searches the web before it answers."""
    name = model.casefold()
    return (
        "search" in name
        or "sonar" in name
        or "deep-research" in name
        or name.endswith((":online", "-online"))
        or name.startswith(("groq/compound", "compound-beta"))
    )


def _why_live(body: dict[str, Any]) -> Bypass | None:
    if is_on(body.get("store")):
        return Bypass(reason="store")
    if any(is_on(body.get(name)) for name in LIVE - {"store", "tools"}):
        return Bypass(reason="live-data")
    tools = body.get("tools")
    if tools is None:
        return None
    if type(tools) is not list or any(type(tool) is not dict for tool in tools):
        return Bypass(reason=MALFORMED)
    return Bypass(reason="hosted-tool") if any(_is_hosted(tool) for tool in tools) else None


def _is_hosted(tool: dict[str, Any]) -> bool:
    if not tool.keys() <= TOOL:
        check_names(tool, FOLDED_TOOL)
    kind = tool.get("type", "function" if "function" in tool else None)
    return type(kind) is not str or kind not in CHOOSABLE_TOOLS
