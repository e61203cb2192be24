"""The README's quickstart runs, its configuration loads, and its commands are the ones that CI takes from it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from semcache_core.config import load

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """Return the fenced block after ``<!-- name -->``."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"README.md has no block {name!r}"
    return found[1]


def test_the_quickstart_runs_as_it_stands(tmp_path: Path) -> None:
    program = block("quickstart")
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=True
    )
    found, called = ran.stdout.splitlines()
    assert found.startswith("Settings, Reset. 0.9")
    assert called == "ask your model here"


def test_the_quickstart_is_ten_lines_at_most() -> None:
    assert len([line for line in block("quickstart").splitlines() if line.strip()]) <= 10


def test_the_configuration_loads(tmp_path: Path) -> None:
    file = tmp_path / "semcache.toml"
    file.write_text(block("configuration"), encoding="utf-8")
    config = load(file)
    assert config.cache.ttl == 7 * 86400
    assert [route.path for route in config.routes] == ["/v1/chat/completions"]


@pytest.mark.parametrize("number", [1, 2])
def test_both_commands_are_marked_for_ci(number: int) -> None:
    assert block(f"command {number}").startswith("pip install ")
