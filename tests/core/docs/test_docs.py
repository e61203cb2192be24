"""The how-to pages say what is so: their configurations load, their commands and options exist."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from semcache_core.cli.explain import call_of, read
from semcache_core.config import load
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.registry import KINDS, Registry
from semcache_fastapi import SemanticCacheMiddleware
from semcache_proxy import create_app

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.name not in ("write-a-plugin.md", "write-a-protocol.md"))
DISTRIBUTIONS = sorted([*DOCS.parent.glob("plugins/*/README.md"), *DOCS.parent.glob("integrations/*/README.md")])
WRITTEN = sorted([*DOCS.rglob("*.md"), *DISTRIBUTIONS, *DOCS.parent.glob("*.md")])
"""Everything that holds code for readers."""
TOML = [(path.name, block) for path in PAGES for block in re.findall(r"```toml\n(.*?)```", path.read_text(), re.DOTALL)]


@pytest.mark.parametrize(("page", "block"), TOML, ids=[name for name, _ in TOML])
def test_every_configuration_in_the_docs_loads(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("semcache.toml").write_text(block)

    secrets = ("SEMCACHE_SECRET", "SEMCACHE_CALLERS", "DATABASE_URL", "REDIS_URL", "JWT_PUBLIC_KEY")
    config = load(environ=dict.fromkeys(secrets, "s" * 16))

    assert config.given, page


@pytest.mark.parametrize("readme", DISTRIBUTIONS, ids=lambda readme: readme.parent.name)
def test_the_configuration_of_a_readme_makes_its_components(
    readme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```toml\n(.*?)```", readme.read_text("utf-8"), re.DOTALL)
    assert blocks, "show how it is configured"
    for block in blocks:
        Path("semcache.toml").write_text(block)
        assert assemble(load(environ={"SEMCACHE_SECRET": "s" * 16}), Registry.installed()).extractor_names


@pytest.mark.parametrize("readme", DISTRIBUTIONS, ids=lambda readme: readme.parent.name)
def test_a_readme_names_every_option_of_its_components(readme: Path) -> None:
    registry = Registry.installed()
    offers = [(kind, offer) for kind in KINDS if kind != "commands" for offer in registry.offers(kind)]
    own = [(kind, offer) for kind, offer in offers if offer.distribution == readme.parent.name]
    text = readme.read_text("utf-8")
    for kind, offer in own:
        options = registry.load(kind, offer.component.name).Options
        assert [name for name in options.__struct_encode_fields__ if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("readme", "made"),
    [("integrations/semcache-fastapi", SemanticCacheMiddleware), ("integrations/semcache-proxy", create_app)],
    ids=["semcache-fastapi", "semcache-proxy"],
)
def test_a_readme_has_every_argument_of_what_it_offers(readme: str, made: Callable[..., object]) -> None:
    table = (DOCS.parent / readme / "README.md").read_text("utf-8")
    arguments = [name for name in inspect.signature(made).parameters if name != "app"]
    assert [name for name in arguments if f"| `{name}` |" not in table] == []


def test_every_option_of_serve_is_documented() -> None:
    serve = Registry.installed().load("commands", "serve")
    assert isinstance(serve, click.Command)
    page = (DOCS / "how-to" / "run-the-proxy.md").read_text("utf-8").partition("## Every option")[2]
    assert [parameter.opts[0] for parameter in serve.params if f"`{parameter.opts[0]}" not in page] == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(DOCS.parent).as_posix())
def test_code_in_a_page_has_80_columns(page: Path) -> None:
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert [line for block in blocks for line in block.splitlines() if len(line) > 80] == []


def test_the_whole_file_can_be_made_into_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = (block for page, block in TOML if page == "configure.md" and "[semcache]" in block)
    Path("semcache.toml").write_text(block)

    config = load(environ={"SEMCACHE_SECRET": "s" * 16})

    assert assemble(config, Registry.installed()).extractor_names == ("openai-chat", "json")
    assert set(tomllib.loads(block)) == {
        "semcache",
        "vector_store",
        "response_store",
        "key_extractors",
        "verifiers",
        "http",
        "route",
        "normalise",
    }


def test_every_command_and_option_that_the_docs_name_exists() -> None:
    registry = Registry.installed()
    page = (DOCS / "how-to" / "operate.md").read_text()
    documented = re.findall(r"^\| `semcache (\w+)([^`]*)` \|", page, re.MULTILINE)

    for name, rest in documented:
        command = registry.load("commands", name)
        assert isinstance(command, click.Command)
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z]+", rest)) <= known

    assert {name for name, _ in documented} == {
        offer.component.name for offer in registry.offers("commands") if offer.distribution == "semcache-core"
    }


def test_the_request_of_the_docs_can_be_explained(tmp_path: Path) -> None:
    page = (DOCS / "how-to" / "operate.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "request.json").write_text(block)

    call, body = call_of(read(tmp_path / "request.json"))

    assert (call.method, call.path) == ("POST", b"/v1/chat/completions")
    assert b"How can I reset my password?" in body
