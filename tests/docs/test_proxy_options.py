"""Every option of ``semcache serve`` stands in the documentation."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from semcache_proxy.commands.serve import serve

PAGE = (Path(__file__).parents[2] / "docs/how-to/run-the-proxy.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [option.opts[0] for option in serve.params if isinstance(option, click.Option)])
def test_the_option_is_documented(name: str) -> None:
    assert f"`{name}" in PAGE.partition("## Every option")[2]
