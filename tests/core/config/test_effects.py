"""What stands in a configuration and does nothing is told at the start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from semcache_core.config import load
from semcache_core.http.route import Deployment
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.registry import Registry

MEMORY: dict[str, Any] = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}
TOML = '[vector_store]\nuse = "memory"\n[response_store]\nuse = "memory"\n'


def told_of(mapping: Mapping[str, Any]) -> list[str]:
    """Return what is told of a configuration besides what stands in every one."""
    usual = assemble(load(MEMORY), Registry.installed()).notices
    return [notice for notice in assemble(load(MEMORY | mapping), Registry.installed()).notices if notice not in usual]


def variables_told(environ: Mapping[str, str], tmp_path: Path, toml: str = TOML) -> tuple[str, ...]:
    (tmp_path / "my.toml").write_text(toml)
    return load(tmp_path / "my.toml", environ=environ).notices


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SEMCACHE_TTL", "SEMCACHE_SEMCACHE__TTL"),
        ("SEMCACHE_THRESHOLD", "SEMCACHE_SEMCACHE__THRESHOLD"),
        ("SEMCACHE_TRESHOLD", "SEMCACHE_SEMCACHE__THRESHOLD"),
        ("SEMCACHE_SEMCACHE_TTL", "SEMCACHE_SEMCACHE__TTL"),
        ("SEMCACHE_HTTP_IDENTITY", "SEMCACHE_HTTP__IDENTITY"),
        ("SEMCACHE_IDENTITY_SECRET", "SEMCACHE_HTTP__IDENTITY_SECRET"),
        ("SEMCACHE_DRAIN", "SEMCACHE_LIMITS__DRAIN"),
        ("SEMCACHE_EMBEDDER_MODEL", "SEMCACHE_EMBEDDER__MODEL"),
        ("SEMCACHE_RESPONSE_STORE_USE", "SEMCACHE_RESPONSE_STORE__USE"),
        ("SEMCACHE_CONFG", "SEMCACHE_CONFIG"),
    ],
)
def test_a_variable_that_means_nothing_is_told_with_what_was_meant(variable: str, meant: str, tmp_path: Path) -> None:
    assert variables_told({variable: "1h"}, tmp_path) == (
        f"the environment variable {variable} means nothing; did you mean {meant}?",
    )


def test_a_variable_that_resembles_nothing_is_told_how_they_are_written(tmp_path: Path) -> None:
    (told,) = variables_told({"SEMCACHE_QQQQQQ": "1"}, tmp_path)
    assert told.endswith("means nothing; settings are written SEMCACHE_<TABLE>__<KEY>")


def test_variables_that_mean_something_are_not_told(tmp_path: Path) -> None:
    toml = TOML + '[http]\nidentity_secret = { env = "SEMCACHE_SECRET" }\n'
    environ = {
        "SEMCACHE_CONFIG": str(tmp_path / "my.toml"),
        "SEMCACHE_DEBUG_TOKEN": "t",
        "SEMCACHE_SECRET": "s" * 32,
        "SEMCACHE_SEMCACHE__TTL": "1h",
        "PATH": "/bin",
    }
    assert variables_told(environ, tmp_path, toml) == ()


def test_a_mapping_ignores_the_environment_and_says_nothing_of_it() -> None:
    assert load(MEMORY, environ={"SEMCACHE_TTL": "1h"}).notices == ()


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        (
            {"semcache": {"preset": "safe", "threshold": 0.9}},
            "semcache.preset: has no effect beside semcache.threshold",
        ),
        ({"semcache": {"min_words": 9, "max_words": 3}}, "every text matches exactly only"),
        ({"semcache": {"match": "exact", "threshold": 0.9}}, "everywhere: semcache.threshold"),
        (
            {"semcache": {"threshold": 0.9}, "route": [{"path": "/a", "match": "exact", "threshold": 0.8}]},
            'no effect beside match = "exact": route[0].threshold',
        ),
        ({"http": {"ignore_headers": ["authorization"]}}, "'authorization' has no effect: it says who asks"),
        ({"http": {"ignore_headers": ["Cookie"]}}, None),
        ({"http": {"ignore_headers": ["host"]}}, "'host' has no effect: it says where a request goes"),
        ({"http": {"ignore_headers": ["range"]}}, "'range' has no effect: a request with it bypasses the cache"),
        ({"http": {"ignore_headers": ["cache-control"]}}, "'cache-control' has no effect: the cache itself reads it"),
        (
            {"http": {"ignore_headers": ["x-team"], "identity_add": ["x-team"]}},
            "'x-team' has no effect: it says who asks",
        ),
    ],
)
def test_an_option_without_effect_is_told(mapping: dict[str, Any], told: str | None) -> None:
    notices = told_of(mapping)
    assert len(notices) == (told is not None), notices
    assert told is None or told in notices[0]


@pytest.mark.parametrize(
    "mapping",
    [
        {"semcache": {"threshold": 0.9}},
        {"semcache": {"match": "exact"}},
        {"semcache": {"match": "exact"}, "embedder": {"use": "onnx"}, "verifiers": {"use": ["text-guard"]}},
        {"semcache": {"match": "exact", "threshold": 0.9}, "route": [{"path": "/a", "match": "semantic"}]},
        {"semcache": {"match": "exact", "threshold": 0.9}, "http": {"allow_directives": ["mode"]}},
        {"route": [{"path": "/ask", "json": {"text": "$.q", "methods": ["POST", "PUT"], "ignore": ["a"]}}]},
        {"route": [{"path": "/v1/chat/completions", "openai-chat": {"tool_calls": "never", "ignore": ["a"]}}]},
        {"http": {"ignore_headers": ["x-build", "x-trace-*"]}},
    ],
)
def test_an_option_with_an_effect_is_not(mapping: dict[str, Any]) -> None:
    assert told_of(mapping) == []


@pytest.mark.parametrize(
    ("deployment", "extractors", "told"),
    [
        (Deployment(paths=("/ask", "/find")), ("json",), "whatever ends in '/ask' or '/find' is looked up, also"),
        (Deployment(paths=("/ask",)), ("openai-chat",), "paths= has no effect: the key extractor 'json'"),
        (Deployment(methods=("GET",)), ("json",), "methods= has no effect without paths="),
    ],
)
def test_a_middleware_is_told_what_its_paths_claim(deployment: Deployment, extractors: Any, told: str) -> None:
    (notice,) = deployment.notices(extractors)
    assert told in notice


def test_a_middleware_without_paths_has_nothing_to_be_told() -> None:
    assert list(Deployment(upstream="https://llm.example").notices(("openai-chat",))) == []
