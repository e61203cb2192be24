"""Configuration: which file, which variables, and what stands over what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from semcache_core.config import Config, load
from semcache_core.errors import ConfigError
from semcache_core.settings import Secret

NO_ENVIRONMENT: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _load_text(text: str, environ: Mapping[str, str] = NO_ENVIRONMENT) -> Config:
    Path("my.toml").write_text(text)
    return load("my.toml", environ=environ)


def _error(text: str, environ: Mapping[str, str] = NO_ENVIRONMENT) -> str:
    with pytest.raises(ConfigError) as caught:
        _load_text(text, environ)
    return str(caught.value)


# -- sources ----------------------------------------------------------------------------------------------------------


def test_without_any_file_everything_is_a_default() -> None:
    config = load(environ={})

    assert (config.vector_store.use, config.response_store.use) == ("sqlite", "sqlite")
    assert config.embedder is None
    assert [choice.use for choice in config.key_extractors] == ["openai-chat", "json"]
    assert [choice.use for choice in config.verifiers] == ["text-guard"]
    assert config.place_of("semcache.ttl") == "default"


def test_a_file_in_the_working_directory_is_found() -> None:
    Path("semcache.toml").write_text("[semcache]\nttl = 60\n")

    config = load(environ={})

    assert config.cache.ttl == 60
    assert config.place_of("semcache.ttl") == "semcache.toml"


def test_a_variable_names_the_file() -> None:
    Path("other.toml").write_text("[semcache]\nttl = 60\n")

    assert load(environ={"SEMCACHE_CONFIG": "other.toml"}).cache.ttl == 60


@pytest.mark.parametrize("argument", [None, "mine.toml"])
def test_two_files_are_an_error_that_names_both(argument: str | None) -> None:
    for name in ("semcache.toml", "mine.toml", "other.toml"):
        Path(name).write_text("")

    with pytest.raises(ConfigError, match=r"two configuration files: .*other\.toml.*unset SEMCACHE_CONFIG"):
        load(argument, environ={"SEMCACHE_CONFIG": "other.toml"})


def test_the_same_file_named_twice_is_one_source() -> None:
    Path("semcache.toml").write_text("")

    assert load("semcache.toml", environ={"SEMCACHE_CONFIG": "semcache.toml"}).label == "semcache.toml"


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^nowhere\.toml: there is no such file$"):
        load("nowhere.toml", environ={})


def test_a_directory_instead_of_a_file_is_named() -> None:
    Path("here").mkdir()

    with pytest.raises(ConfigError, match=r"^here: is a folder; name the TOML file in it"):
        load("here", environ={})


def test_a_file_that_is_no_toml_says_where() -> None:
    assert _error("[semcache]\nttl = = 3\n").startswith("my.toml: is not TOML: Invalid value (at line 2")


def test_a_byte_order_mark_is_no_mistake() -> None:
    Path("my.toml").write_bytes(b'\xef\xbb\xbf[semcache]\nnamespace = "bot"\n')

    assert load("my.toml", environ={}).cache.namespace == "bot"


def test_a_file_that_is_not_utf8_says_so() -> None:
    Path("my.toml").write_bytes(b'[semcache]\nnamespace = "\xff"\n')

    with pytest.raises(ConfigError, match=r"^my\.toml: is not UTF-8$"):
        load("my.toml", environ={})


def test_a_mapping_has_the_form_of_a_file_and_ignores_the_environment() -> None:
    environ = {"SEMCACHE_SEMCACHE__TTL": "5", "SEMCACHE_NO__SUCH": "1", "SEMCACHE_CONFIG": "x.toml"}

    config = load({"semcache": {"ttl": "2h"}, "route": [{"path": "/a", "ttl": 0}]}, environ=environ)

    assert config.cache.ttl == 7200
    assert config.routes[0].ttl == 0
    assert config.label == "configuration"


def test_a_reference_to_the_environment_in_a_mapping_is_an_error_with_its_remedy() -> None:
    with pytest.raises(ConfigError) as caught:
        load({"vector_store": {"use": "pgvector", "dsn": {"env": "DATABASE_URL"}}}, environ={"DATABASE_URL": "x"})

    assert "configuration: vector_store.dsn: a mapping ignores the environment" in str(caught.value)
    assert "pass the value of DATABASE_URL itself" in str(caught.value)


# -- variables over a file --------------------------------------------------------------------------------------------


def test_variables_stand_over_the_file_and_are_read_as_the_options_type() -> None:
    environ = {
        "SEMCACHE_SEMCACHE__TTL": "1h",
        "SEMCACHE_SEMCACHE__THRESHOLD": "0.91",
        "SEMCACHE_SEMCACHE__MIN_WORDS": "3",
        "SEMCACHE_SEMCACHE__MAX_BODY": "2 MiB",
        "SEMCACHE_HTTP__STATUS_HEADERS": "false",
        "SEMCACHE_LIMITS__DRAIN": "2.5",
        "SEMCACHE_SEMCACHE__MODE": "observe",
    }

    config = _load_text('[semcache]\nttl = "7d"\n', environ)

    assert (config.cache.ttl, config.cache.threshold, config.cache.min_words) == (3600, 0.91, 3)
    assert (config.cache.max_body, config.cache.mode) == (2 * 1024 * 1024, "observe")
    assert (config.http.status_headers, config.limits.drain) == (False, 2.5)
    assert config.place_of("semcache.ttl") == "$SEMCACHE_SEMCACHE__TTL"


def test_variables_stand_over_the_defaults_where_there_is_no_file() -> None:
    assert load(environ={"SEMCACHE_SEMCACHE__NAMESPACE": "bot"}).cache.namespace == "bot"


def test_a_variable_sets_an_option_of_a_component_and_counts_as_a_secret() -> None:
    config = _load_text(
        '[vector_store]\nuse = "pgvector"\n', {"SEMCACHE_VECTOR_STORE__DSN": "postgres://me:hunter2@db"}
    )

    assert config.vector_store.options["dsn"] == Secret("postgres://me:hunter2@db")
    assert "hunter2" not in repr(config.vector_store.options)


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("SEMCACHE_HTP__COOKIES", "there is no table [htp]; did you mean 'http'?"),
        ("SEMCACHE_SEMCACHE__TTLL", "there is no option semcache.ttll; did you mean 'ttl'?"),
        ("SEMCACHE_ROUTE__TTL", "[route] cannot be set by a variable, only scalars can"),
        ("SEMCACHE_KEY_EXTRACTORS__USE", "[key_extractors] cannot be set by a variable"),
    ],
)
def test_an_unknown_variable_is_an_error_with_a_suggestion(variable: str, reason: str) -> None:
    message = _error("", {variable: "1"})

    assert message.startswith(f"environment variable {variable}: ")
    assert reason in message


def test_a_wrong_value_of_a_variable_names_the_variable_and_the_key() -> None:
    message = _error("[semcache]\nttl = 3\n", {"SEMCACHE_HTTP__STATUS_HEADERS": "maybe"})

    assert message == "$SEMCACHE_HTTP__STATUS_HEADERS: http.status_headers: expected true or false, got 'maybe'"


def test_a_list_in_a_variable_is_sent_to_the_file() -> None:
    message = _error("", {"SEMCACHE_HTTP__COOKIES": "a,b"})

    assert "http.cookies: expected a list, each a string" in message
    assert "a variable holds no list, write it in the file" in message


def test_other_variables_are_left_alone() -> None:
    assert _load_text("", {"SEMCACHE_SECRET": "s", "PATH": "/bin", "HOME__X": "1"}).cache.mode == "on"
