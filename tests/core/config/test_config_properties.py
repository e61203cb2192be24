"""Whatever stands in a configuration: it is read, or it is a ConfigError that quotes no secret."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.config import Config, load
from semcache_core.config.sources import TABLES
from semcache_core.errors import ConfigError
from semcache_core.settings import CacheOptions, HttpOptions, LimitOptions, RouteOptions, Secret

OPTIONS = sorted(
    {name for table in (CacheOptions, HttpOptions, LimitOptions, RouteOptions) for name in table.__struct_fields__}
    | {"use", "env", "json", "openai-chat", "text-guard", "pattern"}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["7d", "never", "/a", "json", "semantic", "4 MiB", "$.x", "("])
    | st.dates()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(OPTIONS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
TREES = st.dictionaries(
    st.sampled_from(TABLES) | st.text(max_size=4) | st.integers(),
    st.dictionaries(st.sampled_from(OPTIONS) | st.integers(), VALUES, max_size=4)
    | st.lists(st.dictionaries(st.sampled_from(OPTIONS), VALUES, max_size=3), max_size=2)
    | VALUES,
    max_size=4,
)


@given(tree=TREES)
def test_any_mapping_is_a_configuration_or_a_config_error(tree: dict[Any, Any]) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(tree), Config)


@given(variables=st.dictionaries(st.sampled_from(OPTIONS).map(str.upper), st.text(max_size=6), max_size=4))
def test_any_environment_is_a_configuration_or_a_config_error(variables: dict[str, str]) -> None:
    environ = {f"SEMCACHE_{table}__{name}": text for name, text in variables.items() for table in ("SEMCACHE", "HTTP")}

    with contextlib.suppress(ConfigError):
        assert isinstance(load(environ=environ), Config)


@pytest.mark.parametrize("table", [CacheOptions, HttpOptions, LimitOptions], ids=lambda table: table.__name__)
def test_no_option_quotes_a_secret_that_does_not_fit_it(
    table: type[msgspec.Struct], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = {CacheOptions: "semcache", HttpOptions: "http", LimitOptions: "limits"}[table]
    lines = [f'{option} = {{ env = "HUSH" }}' for option in table.__struct_fields__]
    (tmp_path / "semcache.toml").write_text(f"[{name}]\n" + "\n".join(lines))

    with pytest.raises(ConfigError) as caught:
        load(environ={"HUSH": "hunter2"})

    assert "hunter2" not in str(caught.value)
    assert "$HUSH" in str(caught.value)


@given(text=st.text())
def test_a_secret_never_shows(text: str) -> None:
    secret = Secret(text)

    assert {repr(secret), str(secret), f"{secret}", f"{secret!s}"} == {"********"}
    assert secret.reveal() == text
