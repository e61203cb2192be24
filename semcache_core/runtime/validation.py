"""Validates a plugin module: every problem that shows before any of its hooks is called."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from semcache_core import hookspecs
from semcache_core.authoring.suggest import did_you_mean, listed
from semcache_core.plugin import API_VERSION
from semcache_core.remedies import pip_install

HOOKS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if name.startswith("semcache_")
}
"""Every hook's name and the names of its parameters."""


def refusals(plugin: object) -> Iterator[str]:
    """Yield one sentence for each violation of the plugin protocol; nothing for a valid plugin."""
    older = _version_refusal(getattr(plugin, "semcache_api", API_VERSION))
    if older is not None:
        # Further problems would be noise: a newer protocol may have hooks that this core does not know.
        yield older
        return
    for name in dir(plugin):
        function = inspect.getattr_static(plugin, name, None)
        marks = getattr(function, "semcache_impl", None)
        if isinstance(marks, dict):
            # Read from the plugin itself, so that a method's self is bound and does not count.
            yield from _implementation_refusals(marks.get("specname") or name, getattr(plugin, name), marks)
        elif name.startswith("semcache_") and inspect.isfunction(function):
            yield _unmarked(name)


def core_version() -> str:
    """Return the installed version of semcache-core, or "?" if it is not installed."""
    try:
        return version("semcache-core")
    except PackageNotFoundError:
        return "?"


def _version_refusal(wanted: object) -> str | None:
    match wanted:
        case (int(major), int(minor)):
            pass
        case _:
            return f"semcache_api must be a pair of integers such as {API_VERSION!r}, not {wanted!r}"
    speaks = f"the installed semcache-core {core_version()} speaks {API_VERSION[0]}.{API_VERSION[1]}"
    if (major, minor) > API_VERSION:
        return (
            f"needs a semcache-core that speaks plugin protocol {major}.{minor} or newer, and {speaks}; "
            f"upgrade it ({pip_install('--upgrade', 'semcache-core')})"
        )
    if major < API_VERSION[0]:
        return f"was made for plugin protocol {major}.{minor}, and {speaks}; upgrade the plugin"
    return None


def _implementation_refusals(name: str, function: object, marks: dict[str, object]) -> Iterator[str]:
    if name not in HOOKS:
        yield f"{name} is not a hook{did_you_mean(name, HOOKS) or '; hooks: ' + listed(HOOKS)}"
        return
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"{name} is an async function; hooks are plain functions (async def is for components)"
    if marks.get("wrapper") or marks.get("hookwrapper"):
        yield f"{name} is a hook wrapper; semcache calls implementations one by one and has no wrappers"
    if callable(function):
        yield from _argument_refusals(name, inspect.signature(function))


def _argument_refusals(name: str, signature: inspect.Signature) -> Iterator[str]:
    offered = HOOKS[name]
    for parameter in signature.parameters.values():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if variadic or parameter.default is not parameter.empty:
            continue
        shape = f"{name}({', '.join(offered)})"
        if parameter.name not in offered:
            hint = did_you_mean(parameter.name, offered)
            yield f"{name} has a parameter {parameter.name!r} that the hook does not pass: {shape}{hint}"
        elif parameter.kind is parameter.KEYWORD_ONLY:
            yield f"{name} takes {parameter.name!r} by keyword only; hooks pass by position: {shape}"


def _unmarked(name: str) -> str:
    if name in HOOKS:
        return f"{name} is not marked: put @hookimpl (from semcache_core.plugin) above it"
    return f"{name} is not a hook{did_you_mean(name, HOOKS) or '; names that begin with semcache_ are for hooks'}"
