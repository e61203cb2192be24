"""What the page about the proxy shows, works as it stands there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

import semcache_proxy
from semcache_core.cli.group import program
from semcache_proxy import create_app
from semcache_proxy.commands.serve import read_headers
from semcache_proxy.upstream import ForwardOptions

PAGE = (Path(__file__).parents[2] / "docs/how-to/run-the-proxy.md").read_text(encoding="utf-8")
TEAM = PAGE.partition("### One credential for a team")[2].partition("\n## ")[0]
IN_MEMORY: dict[str, Any] = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEAM, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of the page's command, with its environment."""
    *exports, serve = (shlex.split(line, comments=True) for line in block("sh").replace("\\\n", "").splitlines())
    left_out = iter(("0123456789abcdef0123456789abcdef", "s3cret"))
    for _, setting in exports:
        name, _, value = setting.partition("=")
        monkeypatch.setenv(name, next(left_out) if value == "..." else value)
    return serve


def test_the_command_does_not_start_without_the_configuration(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(program, command[1:])
    assert result.exit_code == 2
    assert 'http.callers = { env = "SEMCACHE_CALLERS" }' in result.output


def test_with_the_configuration_the_sdks_key_is_the_token(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "semcache.toml"
    tables = "\n".join(f'[{name}]\nuse = "memory"' for name in IN_MEMORY)
    file.write_text(block("toml") + tables)
    assert set(tomllib.loads(file.read_text())["http"]) == {"callers", "identity_secret"}
    header = command[command.index("--set-header") + 1]
    app = create_app("http://127.0.0.1:9", config=file, forward=ForwardOptions(injected=read_headers((header,))))
    key = re.search(r'api_key="([^"]+)"', block("python"))
    assert key
    client = TestClient(app)
    assert client.get("/v1/models").status_code == 401
    assert client.get("/v1/models", headers={"authorization": f"Bearer {key[1]}"}).status_code == 502


def test_every_code_of_an_error_is_on_the_page() -> None:
    folder = Path(semcache_proxy.__file__).parent
    source = "\n".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    codes = set(re.findall(r'code="(\w+)"', source))
    assert codes
    assert codes == set(re.findall(r"code `(\w+)`", PAGE))
