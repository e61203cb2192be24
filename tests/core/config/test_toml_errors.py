"""A file that is not TOML is told in one line: what stands twice is named with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from semcache_core.config import load
from semcache_core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[semcache]\nttl = 1\nttl = 2\n", "line 3: the key 'ttl' in [semcache] is given twice; first in line 2"),
        ("[semcache]\nttl = 1\nttl = 2", "line 3: the key 'ttl' in [semcache] is given twice; first in line 2"),
        ("[http]\n[semcache]\nmode = 'on'\n[http]\n", "line 4: the table [http] is given twice; first in line 1"),
        (
            "[semcache]\nvolatile = [\n'a',\n]\nvolatile = [\n'b',\n'c',\n]\n",
            "line 5: the key 'volatile' in [semcache] is given twice; first in line 2",
        ),
        ("[[route]]\npath = '/a'\n[[route]]\npath = '/b'\npath = '/c'\n", "line 5: the key 'path' in [[route]]"),
        ("[embedder]\nuse = 'a'\n[embedder.use]\n", "line 3: the table [embedder.use] is given twice"),
        ("[semcache]\njson = { a = 1, a = 2 }\n", "Duplicate inline table key 'a' (at line 2"),
        ("[semcache]\nttl =\n", "is not TOML: Invalid value (at line 2"),
        ("x = " + "[" * 5000, "nested too deeply to be read"),
        ("x = " + "1" * 5000, "is not TOML that can be read"),
    ],
    ids=range(10),
)
def test_the_line_is_named_and_what_stands_there(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "semcache.toml"
    path.write_text(text)

    with pytest.raises(ConfigError) as error:
        load(path, environ={})

    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("path", ["no\0file", b"no\xfffile"], ids=ascii)
def test_a_path_that_is_no_text_is_a_configuration_error(path: str) -> None:
    with pytest.raises(ConfigError, match="has a byte that is not UTF-8"):
        load(path, environ={})


@pytest.mark.parametrize("wrong", ["half \ud800", "nul \0"], ids=ascii)
@pytest.mark.parametrize(
    "mapping",
    [
        {"semcache": {"namespace": "?"}},
        {"semcache": {"volatile": ["a", "?"]}},
        {"response_store": {"use": "sqlite", "path": "?"}},
        {"embedder": {"use": "?"}},
        {"http": {"identity_secret": "sixteen bytes at least ?"}},
        {"?": {}},
        {"semcache": {"?": 1}},
    ],
    ids=str,
)
def test_a_setting_that_is_no_text_is_refused_at_start(mapping: dict[str, object], wrong: str) -> None:
    def put(value: object) -> object:
        if isinstance(value, dict):
            return {put(name): put(item) for name, item in value.items()}
        if isinstance(value, list):
            return [put(item) for item in value]
        return value.replace("?", wrong) if isinstance(value, str) else value

    with pytest.raises(ConfigError, match="is not text"):
        load(put(mapping))  # type: ignore[arg-type]
