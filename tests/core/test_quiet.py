"""No ``repr`` shows a prompt, an answer or a credential: every struct and dataclass of every distribution is looked at.

A new field of a new name fails here, until its class is ``Quiet`` or the field is named below as nothing of a request.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from semcache_core import SemanticCache
from semcache_core.config import load
from semcache_core.settings import Secret

REPOSITORY = Path(__file__).parents[2]
PACKAGES = (
    "semcache_core",
    *sorted(path.name for kind in ("plugins", "integrations") for path in (REPOSITORY / kind).glob("*/src/*")),
)

HARMLESS = frozenset(
    """
    reason code kind sentence remedy what stage error outcome source message status version entries
    namespace route path protocol use named_at label named implied extractor owner offer component distribution name
    factory summary reasons local root editable fingerprint
    """.split()  # noqa: SIM905  a list of words
)
"""Fields that hold codes, names and paths of a configuration or a distribution, in any class."""

OF_OUR_OWN = (
    "semcache_core.settings.",
    "semcache_core.config.model.Policies",
    "semcache_core.authoring.patterns.",
    "semcache_core.authoring.rules.",
    "semcache_core.builtin.json.extractor._Claim",
    "semcache_core.builtin.sqlite.file.Fault",
    "semcache_core.builtin.sqlite.news.",
    "semcache_core.cli.purge.",
    "semcache_core.cli.stats.",
    "semcache_core.engine.components.",
    "semcache_core.engine.observe.Stats",
    "semcache_core.http.route.",
    "semcache_core.http.status.Disclosure",
    "semcache_core.keys.python.FunctionIdentity",
    "semcache_core.keys.python._Place",
    "semcache_core.library.lookup.Lookup",  # Below: it shows what was decided.
    "semcache_core.protocols.Thresholds",
    "semcache_core.protocols.Refused",
    "semcache_core.runtime.",
    "semcache_core.testing.",
    "semcache_core.types.Address",
    "semcache_core.types.Query",  # Digests; what it computes is below.
    "semcache_core.types.Fault",
    "semcache_core.types.Space",
    "semcache_core.types.Match",
    "semcache_core.types.Traits",
    "semcache_core.types.Penalty",
    "semcache_core.types.Reject",
    "semcache_core.types.Decision",
    "semcache_onnx.",
    "semcache_openai.options.",
    "semcache_openai.admission.Admission",
    "semcache_proxy.upstream.ForwardOptions",  # Below: it checks its numbers.
    "semcache_text_guard.language.",
    "semcache_text_guard.rules.rule.",
)
"""Classes whose fields come from a configuration, a model, a word list or a program: never from a request."""


def modules() -> Iterator[Any]:
    for name in PACKAGES:
        try:
            package = importlib.import_module(name)
        except ImportError:
            continue
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            try:
                yield importlib.import_module(found.name)
            except ImportError:
                # An extra that is not installed here.
                continue


def values() -> list[type]:
    """Return every struct and dataclass that holds something."""
    list(modules())
    ours = [module for name, module in sorted(sys.modules.items()) if name.partition(".")[0] in PACKAGES]
    found = {
        kind: None
        for module in ours
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and names_of(kind)
    }
    return list(found)


def names_of(kind: type) -> tuple[str, ...]:
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()


def is_of_our_own(kind: type) -> bool:
    return f"{kind.__module__}.{kind.__qualname__}".startswith(OF_OUR_OWN)


MARK = "MY-SECRET-PROMPT"
RAW = MARK.encode()
HELD: list[Any] = [MARK, RAW, (RAW,), [MARK], {"a": MARK}, ((b"authorization", RAW),), ValueError(MARK)]


def shown(kind: type, name: str) -> bool:
    """Say whether the ``repr`` shows what is in a field."""
    made = [kind(**{each: held if each == name else None for each in names_of(kind)}) for held in HELD]
    return any(MARK in text for each in made for text in (repr(each), str(each), f"{each}"))


@pytest.mark.parametrize(
    "kind",
    [kind for kind in values() if not is_of_our_own(kind)],
    ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}",
)
def test_the_repr_of_a_value_shows_nothing_of_a_request(kind: type) -> None:
    assert [name for name in names_of(kind) if name not in HARMLESS and shown(kind, name)] == []


def test_what_a_lookup_returns_shows_nothing_at_any_depth() -> None:
    prompt, answer, context = f"{MARK} is asked", f"{MARK} is answered", {"user": MARK}
    config = {"semcache": {"match": "exact"}, "response_store": {"use": "memory"}, "vector_store": {"use": "memory"}}
    cache = SemanticCache(config)
    assert cache.sync.store(prompt, answer, context=context)
    lookup = cache.sync.lookup(prompt, context=context)
    assert lookup.query is not None
    record = lookup.found.record

    told = [repr(each) for each in (lookup, lookup.found, record, lookup.query, lookup.query.nearby, cache, cache.sync)]

    assert lookup.value == answer
    assert not [text for text in told if MARK in text]
    assert "outcome='hit' reason='exact' source='exact'" in repr(lookup.found)
    cache.sync.close()


def test_a_configuration_shows_no_credential_however_it_is_given() -> None:
    tables = {"embedder": {"use": "remote", "key": MARK}, "http": {"debug_token": MARK, "identity_secret": MARK * 2}}
    config = load(tables)

    told = [repr(each) for each in (config, config.http, config.embedder, config.response_store, Secret(MARK))]

    assert not [text for text in told if MARK in text]
    assert MARK not in f"{Secret(MARK)} {Secret(MARK)!r}"


def test_a_failing_call_is_logged_without_what_it_was_asked(caplog: pytest.LogCaptureFixture) -> None:
    config = {"semcache": {"match": "exact"}, "response_store": {"use": "memory"}, "vector_store": {"use": "memory"}}
    cache = SemanticCache(config)

    def failing() -> str:
        raise ValueError(MARK)

    with caplog.at_level(logging.DEBUG, "semcache"), pytest.raises(ValueError, match=MARK):
        cache.sync.get_or_call(MARK, failing, context={"a": MARK}, tags=[MARK], namespace=MARK)
    cache.sync.close()

    assert MARK not in caplog.text


def test_what_a_proxy_adds_to_requests_is_not_shown() -> None:
    upstream = pytest.importorskip("semcache_proxy.upstream")

    assert MARK not in repr(upstream.ForwardOptions(injected=((b"authorization", RAW),)))
