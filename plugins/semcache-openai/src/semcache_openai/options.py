"""The options of ``openai-chat``, for the component and for a route, and their combination."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from semcache_core.authoring.json_paths import Path
from semcache_core.authoring.rules import parse_paths
from semcache_core.protocols import ExtractorRoute, Options

__all__ = ["OpenAIChatOptions", "OpenAIChatRoute", "Terms", "terms_of"]

ToolCalls = Literal["exact", "never", "semantic"]
Usage = Literal["original", "zero"]


class OpenAIChatOptions(Options, frozen=True):
    """``[key_extractors] openai-chat = {...}``."""

    turns: Annotated[
        Literal["exact-prefix", "last-turn"],
        Meta(
            description="Which earlier turns must be equal before the last one is compared by meaning: all of them, or "
            "(`last-turn`) none but system messages, which lets one conversation answer another."
        ),
    ] = "exact-prefix"
    ignore: Annotated[tuple[str, ...], Meta(description="Members (names or JSON paths) that never split keys.")] = ()
    tool_calls: Annotated[ToolCalls, Meta(description="How answers that hold tool calls may be reused.")] = "exact"
    finish_reasons: Annotated[
        tuple[str, ...], Meta(description="Further finish reasons of an answer that may be stored.")
    ] = ()
    usage_on_hit: Annotated[Usage, Meta(description="The token usage that a hit reports.")] = "original"


class OpenAIChatRoute(Options, frozen=True):
    """``[[route]] openai-chat = {...}``: an absent option defaults to the component's option."""

    ignore: Annotated[tuple[str, ...], Meta(description="Further members that never split keys here.")] = ()
    tool_calls: Annotated[ToolCalls | None, Meta(description="Overrides `tool_calls` on this route.")] = None
    finish_reasons: Annotated[tuple[str, ...] | None, Meta(description="Overrides `finish_reasons` on this route.")] = (
        None
    )
    usage_on_hit: Annotated[Usage | None, Meta(description="Overrides `usage_on_hit` on this route.")] = None


class Terms(msgspec.Struct, frozen=True):
    """The resolved options for the requests and answers of one route."""

    ignore: tuple[Path, ...]
    tool_calls: ToolCalls
    finish_reasons: frozenset[str]
    zero_usage: bool


def terms_of(options: OpenAIChatOptions, route: ExtractorRoute | None = None) -> Terms:
    """Return the options for ``route``; without one, for all other requests. Raises ConfigError for an invalid path."""
    ignore = parse_paths(options.ignore, place="ignore")
    own = OpenAIChatRoute()
    if route is not None and route.options is not None:
        own = route.options
        ignore += parse_paths(own.ignore, place=f"{route.place}.ignore")
    finish_reasons = options.finish_reasons if own.finish_reasons is None else own.finish_reasons
    return Terms(
        ignore=ignore,
        tool_calls=own.tool_calls or options.tool_calls,
        finish_reasons=frozenset(finish_reasons),
        zero_usage=(own.usage_on_hit or options.usage_on_hit) == "zero",
    )
