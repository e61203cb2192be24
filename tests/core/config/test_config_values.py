"""Configuration: secrets, durations, and mistakes that are told with key path and remedy."""

from __future__ import annotations

import copy
import pickle
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


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_comes_from_the_environment_and_never_prints() -> None:
    config = _load_text('[http]\nidentity_secret = { env = "MY_SECRET" }\n', {"MY_SECRET": "hunter2-hunter2-"})

    secret = config.http.identity_secret

    assert secret is not None
    assert secret.reveal() == "hunter2-hunter2-"
    assert config.place_of("http.identity_secret") == "$MY_SECRET"
    for shown in (repr(config), str(config.http), f"{secret}", f"{secret!r}", f"{secret:>20}", str([secret])):
        assert "hunter2" not in shown


def test_a_secret_may_stand_wherever_a_string_stands() -> None:
    config = _load_text(
        '[semcache]\nnamespace = { env = "NS" }\n[http]\nignore_headers = ["x-a", { env = "HEADER" }]\n',
        {"NS": "bot", "HEADER": "x-b"},
    )

    assert config.cache.namespace == "bot"
    assert config.http.ignore_headers == ("x-a", "x-b")


def test_an_option_by_variable_of_a_component_that_nothing_names_says_how_to_name_it() -> None:
    message = _error("", {"SEMCACHE_VECTOR_STORE__PATH": "hunter2"})

    assert "vector_store.use: is missing" in message
    assert "SEMCACHE_VECTOR_STORE__USE" in message
    assert "hunter2" not in message


def test_a_components_name_may_come_from_a_variable() -> None:
    config = _load_text(
        '[embedder]\nuse = { env = "EMBEDDER" }\n[verifiers]\nuse = [{ env = "GUARD" }]\n',
        {"EMBEDDER": "onnx", "GUARD": "text-guard"},
    )

    assert config.embedder is not None
    assert config.embedder.use == "onnx"
    assert [choice.use for choice in config.verifiers] == ["text-guard"]


def test_a_table_whose_only_key_is_env_is_no_reference() -> None:
    assert _error('[semcache]\nenv = "prod"\n').startswith("my.toml: semcache.env: unknown option")


def test_a_missing_variable_is_named_with_its_key_path_and_a_suggestion() -> None:
    message = _error('[vector_store]\nuse = "x"\nauth = { password = { env = "DB_PASWORD" } }\n', {"DB_PASSWORD": "p"})

    assert message.startswith("my.toml: vector_store.auth.password: the environment variable DB_PASWORD is not set")
    assert message.endswith("; did you mean 'DB_PASSWORD'?")


def test_a_wrong_secret_is_not_quoted() -> None:
    message = _error('[semcache]\npreset = { env = "PRESET" }\n', {"PRESET": "hunter2"})

    assert "hunter2" not in message
    assert "$PRESET: semcache.preset: expected 'balanced', 'loose' or 'safe'" in message


def test_a_number_in_the_place_of_a_secret_is_not_quoted() -> None:
    message = _error("[http]\nidentity_secret = 271828\n")

    assert "271828" not in message
    assert 'http.identity_secret: expected a string, or { env = "NAME" }' in message


@pytest.mark.parametrize("name", ["identity_secret", "debug_token"])
def test_a_secret_that_a_deployment_left_blank_is_refused(name: str) -> None:
    told = f"http.{name}: is empty; set it, or leave the option out"

    assert _error(f'[http]\n{name} = ""\n') == f"my.toml: {told}"
    assert _error(f'[http]\n{name} = {{ env = "BLANK" }}\n', {"BLANK": ""}) == f"$BLANK: {told}"
    assert told in _error("", {f"SEMCACHE_HTTP__{name.upper()}": ""})


def test_an_identity_secret_that_is_too_short_is_refused_and_not_quoted() -> None:
    message = _error('[http]\nidentity_secret = { env = "MY_SECRET" }\n', {"MY_SECRET": "hunter2-hunter2"})

    assert message.startswith("$MY_SECRET: http.identity_secret: is too short: at least 16 bytes")
    assert "hunter2" not in message


def test_secrets_are_compared_by_value_and_are_not_serialised() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    for serialise in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            serialise(Secret("a"))


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ('"500ms"', 0.5),
        ('"90s"', 90),
        ('"15m"', 900),
        ('"1h"', 3600),
        ('"7d"', 604800),
        ('"2w"', 1209600),
        ("0", 0),
        ('"never"', None),
    ],
)
def test_a_ttl_may_be_written_in_units(written: str, seconds: float | None) -> None:
    assert _load_text(f"[semcache]\nttl = {written}\n").cache.ttl == seconds


@pytest.mark.parametrize("written", ['"1 fortnight"', "-1", '"-1h"', "true", '""', "[1]", "nan", "inf"])
def test_what_is_no_duration_says_how_durations_are_written(written: str) -> None:
    message = _error(f"[semcache]\nttl = {written}\n")

    assert "my.toml: semcache.ttl: expected a duration such as 90, '500ms', '90s', '1h' or '7d', or 'never'" in message


def test_a_ttl_of_zero_is_zero_and_not_the_default() -> None:
    config = _load_text("[semcache]\nttl = 0\n")

    assert config.policy(None, None).ttl == 0


def test_never_is_refused_where_an_end_is_needed() -> None:
    message = _error('[limits]\ndrain = "never"\n[[route]]\npath = "/a"\nstale_if_error = "never"\n')

    assert "limits.drain: expected a duration such as 90, '500ms', '90s', '1h' or '7d', got 'never'" in message
    assert "route[0].stale_if_error: expected a duration" in message


@pytest.mark.parametrize(
    ("written", "size"), [("65536", 65536), ('"64 KiB"', 65536), ('"4MiB"', 4 << 20), ('"2 kB"', 2000)]
)
def test_a_size_may_be_written_in_units(written: str, size: int) -> None:
    assert _load_text(f"[semcache]\nmax_body = {written}\n").cache.max_body == size


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[semcahce]\n", "my.toml: semcahce: unknown table; did you mean 'semcache'?"),
        ("[limits]\nembed_deadline = 0\n", "limits.embed_deadline: expected a duration above 0 such as 90, "),
        ("namespace = 'bot'\n", "my.toml: namespace: is an option of [semcache]: write it below that line"),
        ("[semcache]\ntll = 3\n", "my.toml: semcache.tll: unknown option; did you mean 'ttl'?"),
        ("[semcache]\nqqqq = 3\n", "my.toml: semcache.qqqq: unknown option; known: 'jitter', 'match', "),
        (
            '[semcache]\npreset = "save"\n',
            "my.toml: semcache.preset: expected 'balanced', 'loose' or 'safe', got 'save'; did you mean 'safe'?",
        ),
        ("[semcache]\nthreshold = 93\n", "semcache.threshold: expected a number of at least 0 and at most 1, got 93"),
        ("[semcache]\nmin_words = 1.5\n", "semcache.min_words: expected a whole number of at least 0, got 1.5"),
        ('[semcache]\nnamespace = ""\n', "semcache.namespace: expected a string that is not empty, got ''"),
        ("[http]\nstatus_headers = 1\n", "http.status_headers: expected true or false, got 1"),
        ("[http]\ncookies = [1]\n", "http.cookies[0]: does not fit; expected a list, each a string"),
        ("semcache = 3\n", "my.toml: semcache: expected a table, got 3"),
        ("[embedder]\nmodel = 'x'\n", "my.toml: embedder.use: is missing: expected the name of an installed component"),
        (
            "[embedder]\nuze = 'x'\n",
            "my.toml: embedder.use: is missing: expected the name of an installed component; did you mean 'uze'?",
        ),
        ("vector_store = 'x'\n", 'my.toml: vector_store: expected a table, for example use = "name"'),
        ("[verifiers]\nuse = 'x'\n", 'my.toml: verifiers.use: expected a list of names, for example ["name"]'),
        ("[verifiers]\nuse = ['x', 'x']\n", "my.toml: verifiers.use: names 'x' twice; keep one"),
        (
            "[key_extractors]\nuse = ['json']\njsn = { text = '$.q' }\n",
            "key_extractors.jsn: options of a component that key_extractors.use does not name; did you mean 'json'?",
        ),
        ("[key_extractors]\njson = 3\n", "my.toml: key_extractors.json: expected a table of its options"),
        ("[route]\npath = '/a'\n", "my.toml: route: expected a list of tables: write [[route]]"),
        ("[[route]]\nttl = 3\n", "my.toml: route[0].path: is missing; expected a string that begins with '/'"),
        ("[[route]]\npath = 'a'\n", "my.toml: route[0].path: expected a string that begins with '/', got 'a'"),
        (
            "[[route]]\npath = '/a'\ncompare = { afterr = 'Q:' }\n",
            "my.toml: route[0].compare.afterr: unknown option; did you mean 'after'?",
        ),
        (
            "[[route]]\npath = '/a'\ncompare = { after = '' }\n",
            "my.toml: route[0].compare.after: expected a string that is not empty, got ''",
        ),
        ("[[route]]\npath = '/a'\ntll = 3\n", "my.toml: route[0].tll: unknown option; did you mean 'ttl'?"),
        (
            "[[route]]\npath = '/a'\n[[route]]\npath = '/a'\n",
            "my.toml: route[1].path: there is a route for '/a' already; join the two",
        ),
        (
            "[[normalise]]\npath = '$.x'\npattern = '('\n",
            "my.toml: normalise[0].pattern: is not a regular expression: missing )",
        ),
        (
            "[[normalise]]\npath = '$.a..b'\npattern = 'x'\n",
            "my.toml: normalise[0].path: the JSON path '$.a..b' is not understood from '..b' on",
        ),
        (
            "[[route]]\npath = '/a'\ntext = '$.q'\n",
            "my.toml: route[0].text: is an option of the key extractor 'json': write json = { text = \"$.q\" }",
        ),
        (
            "[[route]]\npath = '/a'\nignore = ['x', 'y']\n",
            'my.toml: route[0].ignore: is an option of the key extractor \'json\': write json = { ignore = ["x","y"] }',
        ),
        (
            "[[route]]\npath = '/a'\nmethods = ['GET']\n",
            "my.toml: route[0].methods: is an option of the key extractor 'json': write json = { methods = [\"GET\"] }",
        ),
        (
            "[[route]]\npath = '/a'\ntool_calls = 'never'\n",
            "route[0].tool_calls: is an option of the key extractor 'openai-chat': "
            'write openai-chat = { tool_calls = "never" }',
        ),
        (
            "[[route]]\npath = '/a'\nusage_on_hit = 'zero'\n",
            'write openai-chat = { usage_on_hit = "zero" }',
        ),
        (
            "[semcache]\nfinish_reasons = ['eos']\n",
            "my.toml: semcache.finish_reasons: is an option of the key extractor 'openai-chat': "
            'write [key_extractors] openai-chat = { finish_reasons = ["eos"] }',
        ),
        (
            "[key_extractors]\nadd = 'x'\n",
            'my.toml: key_extractors.add: expected a list of names, for example ["name"]',
        ),
    ],
)
def test_a_mistake_names_the_file_the_key_path_and_the_remedy(text: str, message: str) -> None:
    assert message in _error(text)


def test_all_mistakes_are_told_at_once() -> None:
    message = _error('[semcache]\ntll = 3\npreset = "save"\n[htp]\n')

    assert message.startswith("3 problems in the configuration:\n  my.toml: htp: ")
    assert "semcache.tll" in message
    assert "semcache.preset" in message


@pytest.mark.parametrize("text", ["[a" + ".a" * 2000 + "]", "a = " + "[" * 5000 + "]" * 5000])
def test_brackets_and_names_nested_without_end_are_a_config_error(text: str, tmp_path: Path) -> None:
    file = tmp_path / "semcache.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="nested"):
        load(file, environ={})


def test_a_mapping_nested_without_end_is_a_config_error() -> None:
    tree: dict[str, object] = {}
    for _ in range(5000):
        tree = {"semcache": tree}
    with pytest.raises(ConfigError, match="nested"):
        load(tree)
