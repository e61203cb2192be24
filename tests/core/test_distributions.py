"""What is in the wheels: their types, their licence, an entry point, and nothing that belongs to the checkout."""

from __future__ import annotations

import importlib.metadata
import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT, *(path.parent for path in sorted(ROOT.glob("*/*/pyproject.toml")))]
NAMES = [tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"] for folder in FOLDERS]


@pytest.fixture(params=NAMES)
def installed(request: pytest.FixtureRequest) -> importlib.metadata.Distribution:
    found = importlib.metadata.distribution(request.param)
    if json.loads(found.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"):
        pytest.skip("an editable installation has no files of its own")
    return found


def files(installed: importlib.metadata.Distribution) -> list[str]:
    return [str(path) for path in installed.files or ()]


def test_it_ships_its_types_and_its_licence(installed: importlib.metadata.Distribution) -> None:
    package = installed.name.replace("-", "_")
    assert f"{package}/py.typed" in files(installed)
    assert any(path.endswith("licenses/LICENSE") for path in files(installed))


def test_it_holds_one_package_and_nothing_else(installed: importlib.metadata.Distribution) -> None:
    package = installed.name.replace("-", "_")
    own = (f"{package}/", f"{package}-{installed.version}.dist-info/", "../../../bin/semcache")
    assert [path for path in files(installed) if not path.startswith(own)] == []


def test_it_ships_every_file_of_its_package(installed: importlib.metadata.Distribution) -> None:
    package = installed.name.replace("-", "_")
    folder = FOLDERS[NAMES.index(installed.name)]
    source = folder / package if folder == ROOT else folder / "src" / package
    written = [
        str(path.relative_to(source.parent)) for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"
    ]
    assert sorted(set(written) - set(files(installed))) == []


def test_it_needs_the_core_if_it_imports_the_core(installed: importlib.metadata.Distribution) -> None:
    code = [path for path in installed.files or () if path.suffix == ".py"]
    imports = any("semcache_core" in path.read_text(encoding="utf-8") for path in code)
    needs = any(each.startswith("semcache-core") for each in installed.requires or ())
    assert needs == imports or installed.name == "semcache-core"


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_all_distributions_share_one_version(folder: Path) -> None:
    version = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("folder", FOLDERS[1:], ids=NAMES[1:])
def test_every_folder_of_a_distribution_has_the_same_shape(folder: Path) -> None:
    package = folder / "src" / folder.name.replace("-", "_")
    expected = [
        folder / "README.md",
        folder / "LICENSE",
        folder / "tests",
        package / "__init__.py",
        package / "py.typed",
    ]
    assert [str(path) for path in expected if not path.exists()] == []
