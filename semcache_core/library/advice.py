"""Warnings of ``@cached`` for the author of a function that cannot be cached as written."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Callable
from types import CodeType
from typing import Any

from semcache_core.engine.payloads import offender
from semcache_core.keys.python import FunctionIdentity

_log = logging.getLogger("semcache")


class UnstorableAdvice:
    """Warns once that a function's return value is not stored, and what to return instead."""

    __slots__ = ("_is_given", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_given = False

    def give(self, answer: object) -> None:
        """Log the advice for ``answer``, unless it was logged before."""
        if self._is_given:
            return
        self._is_given = True
        culprit = offender(answer)
        within = "" if culprit is answer else f" (in a {_named(answer)})"
        _log.warning(
            "@cached: %s returned a %s%s, which does not come back equal from JSON, so its answers are not stored; %s, "
            "or return DoNotCache(...) to say that it is meant so",
            *(self._name, _named(culprit), within, _remedy(culprit)),
        )


def warn_of_namesakes(
    function: Callable[..., Any], identity: FunctionIdentity, decorated: dict[FunctionIdentity, CodeType]
) -> None:
    """Warn if other functions may have the same name, and so share answers.

    ``decorated`` holds the code of the functions decorated before, by their identity.
    """
    code = getattr(function, "__code__", None)
    before = decorated.setdefault(identity, code) if code is not None else None
    name = f"{function.__module__}.{function.__qualname__}"
    if "<locals>" in function.__qualname__ and getattr(function, "__closure__", None):
        why = "uses variables of the function that made it, which are no part of the key"
    elif before != code:
        why = "has the name of a function with other code that was decorated before"
    else:
        return
    warnings.warn(
        f"@cached: {name} {why}: two such functions would share their answers; tell them apart by version= or key=",
        UserWarning,
        stacklevel=3,
    )


def _named(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _remedy(value: object) -> str:
    kind = type(value)
    if hasattr(kind, "model_dump"):
        return 'return its .model_dump(mode="json")'
    if dataclasses.is_dataclass(kind):
        return "return dataclasses.asdict(...) of it"
    if isinstance(value, tuple | set | frozenset):
        return "return a list"
    if hasattr(kind, "to_dict"):
        return "return its .to_dict()"
    return "return str, bytes or JSON (dict with str keys, list, str, int, float, bool, None)"
