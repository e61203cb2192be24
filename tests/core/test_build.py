"""The build of the core writes down what the other distributions offer, and its source distribution carries that on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LIST = "semcache_core/runtime/elsewhere.json"
OFFERS = {"embedders": {"tiny": "semcache-tiny[model]"}, "local_embedders": {"tiny": "semcache-tiny[model]"}}
TINY = """
[project]
name = "semcache-tiny"
[tool.semcache]
suggested-extras = ["model"]
offers = { embedders = ["tiny"], local_embedders = ["tiny"] }
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what the core is built from, as in a fresh clone, beside one other distribution."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("pyproject.toml", "hatch_offers.py", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"):
        shutil.copyfile(REPOSITORY / name, root / name)
    ignored = shutil.ignore_patterns("__pycache__", Path(LIST).name)
    shutil.copytree(REPOSITORY / "semcache_core", root / "semcache_core", ignore=ignored)
    (root / "plugins" / "semcache-tiny").mkdir(parents=True)
    (root / "plugins" / "semcache-tiny" / "pyproject.toml").write_text(TINY)
    return root


def build(root: Path, target: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target]
    built = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=90, check=False)
    assert built.returncode == 0, built.stderr
    (made,) = (root / "dist").glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


def offers(wheel: Path) -> object:
    with zipfile.ZipFile(wheel) as opened:
        return json.loads(opened.read(LIST))


def test_the_wheel_of_a_checkout_names_what_its_distributions_offer(checkout: Path) -> None:
    assert offers(build(checkout, "wheel")) == OFFERS


def test_a_wheel_that_is_built_from_the_source_distribution_alone_names_the_same(
    checkout: Path, tmp_path: Path
) -> None:
    with tarfile.open(build(checkout, "sdist")) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert not (source / "plugins").exists()
    assert offers(build(source, "wheel")) == OFFERS


def test_a_second_build_follows_a_change(checkout: Path) -> None:
    build(checkout, "wheel").unlink()
    (checkout / "plugins" / "semcache-tiny" / "pyproject.toml").write_text(TINY.replace('"tiny"', '"small"'))
    assert offers(build(checkout, "wheel")) == {
        kind: {"small": requirement} for kind, named in OFFERS.items() for requirement in named.values()
    }


def test_a_list_that_cannot_be_written_stops_no_build(checkout: Path) -> None:
    (checkout / LIST).mkdir()
    with zipfile.ZipFile(build(checkout, "wheel")) as opened:
        assert LIST not in opened.namelist()
