"""The how-to pages say what is so: their configurations load, their commands and options exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from semcache_core.cli.explain import call_of, read
from semcache_core.config import load
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.registry import Registry

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.name not in ("write-a-plugin.md", "write-a-protocol.md"))
TOML = [(path.name, block) for path in PAGES for block in re.findall(r"```toml\n(.*?)```", path.read_text(), re.DOTALL)]


@pytest.mark.parametrize(("page", "block"), TOML, ids=[name for name, _ in TOML])
def test_every_configuration_in_the_docs_loads(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("semcache.toml").write_text(block)

    secrets = ("SEMCACHE_SECRET", "DATABASE_URL", "REDIS_URL", "JWT_PUBLIC_KEY")
    config = load(environ=dict.fromkeys(secrets, "s" * 16))

    assert config.given, page


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
