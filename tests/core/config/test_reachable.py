"""A setting that no request could match is refused at start, with its key path and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from semcache_core.config import load
from semcache_core.errors import ConfigError

KEY = {"claims": ["sub"], "key": "sixteen bytes at least", "algorithms": ["HS256"]}


@pytest.mark.parametrize("name", ["x_user", "x user", "x-user:", "x-\u00fcser", "", " "])
@pytest.mark.parametrize("key", ["identity", "identity_add", "ignore_headers"])
def test_a_request_header_that_is_never_looked_up(key: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"http\.{key}\[1\]: .* cannot be a header name here: .* write '-' for '_'"):
        load({"http": {key: ["x-fine", name]}})


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        ({"http": {"ignore_headers": ["x_build*"]}}, "http.ignore_headers[0]"),
        ({"http": {"keep_headers": ["x-a", "x b"]}}, "http.keep_headers[1]"),
        ({"http": {"keep_headers": ["\u00fc"]}}, "http.keep_headers[0]"),
        ({"http": {"cookies": ["session=1"]}}, "http.cookies[0]"),
        ({"http": {"cookies": ["a b"]}}, "http.cookies[0]"),
        ({"http": {"jwt": KEY | {"header": "x_token"}}}, "http.jwt.header"),
        ({"http": {"debug_token": " padded "}}, "http.debug_token"),
        ({"http": {"debug_token": "schl\u00fcssel"}}, "http.debug_token"),
        ({"http": {"callers": " , "}}, "http.callers"),
        ({"http": {"callers": "a-token,schl\u00fcssel"}}, "http.callers"),
        ({"semcache": {"volatile": ["today", " "]}}, "semcache.volatile[1]"),
        *(
            ({"route": [{"path": "/fine"}, {"path": path}]}, "route[1].path")
            for path in (
                "/a b",
                "/stra\u00dfe",
                "/a?b=1",
                "/a#b",
                "/users/{id}",
                "/v1/*",
                "//a",
                "/a/../b",
                "/a%2Fb",
                "/%",
            )
        ),
    ],
    ids=str,
)
def test_a_setting_that_nothing_matches(mapping: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(mapping)

    assert str(error.value).startswith(f"configuration: {path}: ")


@pytest.mark.parametrize(
    "mapping",
    [
        {"http": {"identity": ["X-User"], "ignore_headers": ["x-build*", "*"], "cookies": ["__Host-a_b"]}},
        {"http": {"identity": "shared", "keep_headers": ["X_Kept"], "debug_token": "a-token", "callers": "a, b c"}},
        {"route": [{"path": "/v1beta/models/a:generateContent"}, {"path": "/stra%C3%9Fe"}, {"path": "/a;b=1,c@d/"}]},
    ],
    ids=str,
)
def test_what_a_request_can_match_is_accepted(mapping: dict[str, Any]) -> None:
    load(mapping)
