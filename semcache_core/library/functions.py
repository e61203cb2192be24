"""``@cached``: a function whose results are cached.

The key of a cached function holds its module, its qualified name and ``version=``, so two functions never share an
answer. One parameter is the prompt, which may be worded differently; every other argument is context and must be
equal.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

import msgspec

from semcache_core.keys.python import FunctionIdentity
from semcache_core.library.advice import UnstorableAdvice, warn_of_namesakes
from semcache_core.library.arguments import check_namespace, check_similarity, check_storing
from semcache_core.library.cache import SemanticCache
from semcache_core.library.calls import uncached, uncached_blocking
from semcache_core.library.fetch import FetchOptions
from semcache_core.settings import Duration
from semcache_core.types import Quiet

P = ParamSpec("P")
R = TypeVar("R")

_USUAL_PROMPTS = ("prompt", "query", "question")

_SEVERAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
"""Kinds of parameters that hold several arguments: none of these is a prompt."""

KeyFunction = Callable[..., str | tuple[str, object]]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Called(Quiet):
    """One call of a cached function: its prompt and context."""

    prompt: str
    context: object


def cached(
    cache: SemanticCache,
    *,
    ttl: str | Duration | msgspec.UnsetType = msgspec.UNSET,
    threshold: float | None = None,
    namespace: str | None = None,
    key: str | KeyFunction | None = None,
    tags: Sequence[str] = (),
    version: str | int | None = None,
    enabled: bool | Callable[[], bool] = True,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Answer calls of a sync or async function from ``cache``.

    The prompt is the parameter that ``key`` names, else ``prompt``, ``query`` or ``question``, else the only parameter
    annotated ``str``. A ``key`` function receives the call's arguments and returns the prompt, or (prompt, context),
    which is then all that distinguishes two calls. ``threshold`` belongs to the function, like a route's, and may be
    lower than the cache's. Change ``version`` when the function's answers change meaning. Functions made by one factory
    have one name and need different versions: a closure without ``version`` and ``key`` logs a warning. A value that
    cannot be stored is still returned, and logged once for each function.

    Raises TypeError at decoration if no parameter is the prompt, for a generator, for a lambda without ``version`` and
    for a callable that is not a function; at the first call if ``self`` or an argument is not JSON and cannot be part
    of a key. Raises ValueError for an invalid ``ttl`` or ``threshold``.
    """
    if not isinstance(cache, SemanticCache):
        raise TypeError(f"@cached takes the cache: write @cached(cache), with a SemanticCache, not {cache!r}")
    check_storing(ttl=ttl, tags=tags)
    if namespace is not None:
        check_namespace(namespace)
    if threshold is not None:
        check_similarity(threshold)
    if not isinstance(version, str | int | None):
        raise TypeError(f"@cached: version= takes a str or an int, which is the same in every process, not {version!r}")
    if not (isinstance(enabled, bool) or callable(enabled)):
        raise TypeError(f"@cached: enabled= takes True, False or a function that says so, not {enabled!r}")
    if not (key is None or isinstance(key, str) or callable(key)):
        raise TypeError(f"@cached: key= takes the name of a parameter or a function, not {key!r}")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        _refuse_what_is_no_function(function)
        _refuse_nameless(function, version)
        caller = _Caller(function, key=key)
        named = FunctionIdentity(
            _module_of(function), function.__qualname__, "" if version is None else repr(version), threshold
        )
        if version is None and key is None:
            warn_of_namesakes(function, named, cache._decorated)
        advice = UnstorableAdvice(f"{function.__module__}.{function.__qualname__}")

        def options(context: object) -> FetchOptions:
            return {
                "context": context,
                "namespace": namespace,
                "ttl": ttl,
                "tags": tags,
                "function": named,
                "on_unstorable": advice.give,
            }

        def is_on() -> bool:
            return enabled() if callable(enabled) else enabled

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def answer_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                call = functools.partial(function, *args, **kwargs)
                if not is_on():
                    return await uncached(call)
                called = caller.read(args, kwargs)
                return await cache._fetched(called.prompt, call, **options(called.context))

            return cast("Callable[P, R]", answer_async)

        @functools.wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> Any:
            call = functools.partial(function, *args, **kwargs)
            if not is_on():
                return uncached_blocking(call)
            called = caller.read(args, kwargs)
            return cache.sync._fetched(called.prompt, call, **options(called.context))

        return cast("Callable[P, R]", answer)

    return decorate


def _refuse_what_is_no_function(function: object) -> None:
    """Raise TypeError for a class, or for what a class makes a function of."""
    if isinstance(function, type):
        raise TypeError(
            f"@cached takes a function, and {function.__qualname__} is a class: its instances are not answers; "
            "decorate the method that asks"
        )
    if isinstance(function, staticmethod | classmethod | property):
        kind = type(function).__name__
        raise TypeError(f"@cached takes a function: write @cached(cache) below @{kind}, not above it")
    if not callable(function):
        raise TypeError(f"@cached takes a function, not a {type(function).__name__}")


def _refuse_nameless(function: Callable[..., Any], version: object) -> None:
    """Raise TypeError for a function without a unique name: it would share answers with another."""
    name = getattr(function, "__qualname__", None)
    if name is None:
        raise TypeError(f"@cached: a {type(function).__name__} has no name to be known by; write a function around it")
    if name.endswith("<lambda>") and version is None:
        raise TypeError("@cached: all lambdas of a module have one name; use def, or tell them apart by version=")


def _module_of(function: Callable[..., Any]) -> str:
    """Return the function's module. ``__main__`` differs by program, so it is replaced by the name of the program."""
    if function.__module__ != "__main__":
        return function.__module__
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name)
    return "__main__" if file is None else f"__main__ {os.path.abspath(file)}"


class _Caller:
    """Extracts prompt and context from the calls of one function."""

    def __init__(self, function: Callable[..., Any], *, key: str | KeyFunction | None) -> None:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"@cached: {function.__qualname__} is a generator; cache a function that returns its answer whole"
            )
        try:
            self._signature = inspect.signature(function)
        except ValueError as error:
            raise TypeError(
                f"@cached: {function.__qualname__} does not say its parameters; write a function around it"
            ) from error
        self._name = f"{function.__module__}.{function.__qualname__}"
        # A bound method has no parameter for its object, which still distinguishes two calls.
        self._owner = (function.__self__,) if inspect.ismethod(function) else ()
        self._compute = key if callable(key) else None
        self._prompt = "" if self._compute is not None else _prompt_parameter(self._signature, function, key)

    def read(self, args: Sequence[object], kwargs: Mapping[str, object]) -> Called:
        """Return the prompt and the context of one call. Raises TypeError."""
        if self._compute is not None:
            computed = self._compute(*args, **kwargs)
            if isinstance(computed, tuple) and len(computed) != 2:
                raise TypeError(f"@cached: key= of {self._name} returned {len(computed)} values, not (prompt, context)")
            prompt, extra = computed if isinstance(computed, tuple) else (computed, None)
            if not isinstance(prompt, str):
                raise TypeError(
                    f"@cached: key= of {self._name} returned a {type(prompt).__name__} as the prompt, not a str"
                )
            return Called(prompt, extra)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = {name: self._part(name, value) for name, value in bound.arguments.items() if name != self._prompt}
        arguments.update(("__self__", self._part("self", owner)) for owner in self._owner)
        prompt = bound.arguments[self._prompt]
        if type(prompt) is not str:
            raise TypeError(
                f"@cached: the prompt {self._prompt!r} of {self._name} is {type(prompt).__name__}, not str; "
                "say with key= what the prompt is"
            )
        return Called(prompt, arguments)

    def _part(self, name: str, value: object) -> object:
        part = _as_key_part(value)
        try:
            msgspec.json.encode(part)
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            raise TypeError(
                f"@cached: argument {name!r} of {self._name} is {type(value).__name__}, which is no JSON and cannot be "
                "part of a key; give it a __semcache_key__() method, or say with key= what tells two calls apart"
            ) from error
        return part


def _prompt_parameter(signature: inspect.Signature, function: Callable[..., Any], key: str | KeyFunction | None) -> str:
    names = [name for name, parameter in signature.parameters.items() if parameter.kind not in _SEVERAL]
    if isinstance(key, str):
        if key in names:
            return key
        raise TypeError(
            f"@cached: key={key!r} is no parameter of {function.__qualname__}; it has {', '.join(names) or 'none'}"
        )
    for usual in _USUAL_PROMPTS:
        if usual in names:
            return usual
    texts = [name for name in names if signature.parameters[name].annotation in (str, "str")]
    if len(texts) == 1:
        return texts[0]
    raise TypeError(
        f"@cached: cannot tell which parameter of {function.__qualname__} is the prompt: none is called prompt, query "
        f"or question, and {len(texts)} are annotated str; name it with key="
    )


def _as_key_part(value: object) -> object:
    """Return JSON that represents ``value``, distinct from other types; ``_Unkeyable`` if it has no such form."""
    own_key = getattr(type(value), "__semcache_key__", None)
    if own_key is not None:
        return {"type": _type_name(value), "key": own_key(value)}
    if value is None or type(value) in (str, int, bool):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else _Unkeyable
    if type(value) is list:
        return [_as_key_part(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [_as_key_part(item) for item in value]}
    if isinstance(value, Mapping) and all(type(name) is str for name in value):
        return {"mapping": {name: _as_key_part(item) for name, item in value.items()}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _is_frozen(value):
        fields = {field.name: _as_key_part(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": _type_name(value), "fields": fields}
    return _Unkeyable


def _is_frozen(value: object) -> bool:
    return bool(type(value).__dataclass_params__.frozen)  # type: ignore[attr-defined]


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


class _Unkeyable:
    """Replaces a value without a JSON form; encoding it raises TypeError."""
