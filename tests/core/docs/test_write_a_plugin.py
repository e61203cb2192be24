"""The how-to works when it is typed as it stands: its files make a plugin that keeps the kit's promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "write-a-plugin.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def install(folder: Path) -> None:
    """Lay the page's files out as pip would, without asking a package index."""
    plugin, store, test = blocks("python")
    (project,) = blocks("toml")
    described = tomllib.loads(project)["project"]
    metadata = folder / "semcache_flat-0.1.0.dist-info"
    package = folder / "semcache_flat"
    metadata.mkdir()
    package.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: 0.1.0\n")
    points = (f"{name} = {value}\n" for name, value in described["entry-points"]["semcache"].items())
    (metadata / "entry_points.txt").write_text("[semcache]\n" + "".join(points))
    for name, content in {"__init__": '"""A flat store."""\n', "plugin": plugin, "store": store}.items():
        (package / f"{name}.py").write_text(content)
    (package / "py.typed").touch()
    (folder / "test_contract.py").write_text(test)


@pytest.mark.slow
def test_the_plugin_of_the_how_to_keeps_the_kits_promises(tmp_path: Path) -> None:
    install(tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
            "test_contract.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


def test_the_how_to_names_every_file_that_the_kit_wants() -> None:
    files = {"src/semcache_flat/plugin.py", "src/semcache_flat/store.py", "__init__.py", "py.typed", "pyproject.toml"}

    assert files <= set(re.findall(r"`([\w/.]+)`", PAGE.read_text("utf-8")))


def test_the_plugin_of_the_how_to_is_listed(tmp_path: Path) -> None:
    install(tmp_path)
    code = (
        "from semcache_core.runtime.registry import Registry; print(Registry.installed().find('vector_stores', 'flat'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "distribution='semcache-flat'" in done.stdout
