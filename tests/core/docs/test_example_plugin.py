"""The example distribution is whole: its own tests pass, and a cache uses it by name."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "semcache-example"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Lay out the example's metadata as an installer would, without asking a package index."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = tmp_path / "semcache_example-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = (f"{name} = {value}\n" for name, value in project["entry-points"]["semcache"].items())
    (metadata / "entry_points.txt").write_text("[semcache]\n" + "".join(points))
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(EXAMPLE / "src")))}


@pytest.mark.slow
def test_its_own_tests_pass(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(EXAMPLE / "tests")], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pytest_takes_the_example_for_a_project_of_its_own() -> None:
    # Without settings here, pytest looks for those of the repository, which want plugins that the example does not.
    assert "ini_options" in tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]


def test_a_cache_uses_it_by_name(environment: dict[str, str], tmp_path: Path) -> None:
    code = (
        "from semcache_core.config import load\n"
        "from semcache_core.runtime.assembly import assemble\n"
        "from semcache_core.runtime.registry import Registry\n"
        "table = {'use': ['same-script'], 'same-script': {'ignore': ['LATIN']}}\n"
        "stores = {'vector_store': {'use': 'memory'}, 'response_store': {'use': 'memory'}}\n"
        "config = load({'verifiers': table, **stores})\n"
        "print(*assemble(config, Registry.installed()).verifiers)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "SameScript" in done.stdout, done.stderr
