"""What is in the wheels: their types, their licence, an entry point, and nothing that belongs to the checkout."""

from __future__ import annotations

import importlib.metadata
import json
import tomllib
from pathlib import Path

import pytest

from semcache_core.runtime import elsewhere
from semcache_core.runtime.registry import KINDS, Registry

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


def declared(folder: Path) -> dict[str, list[str]]:
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text())
    offers = pyproject.get("tool", {}).get("semcache", {}).get("offers", {})
    return {kind: sorted(names) for kind, names in offers.items()}


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_distribution_declares_what_its_plugin_offers(name: str) -> None:
    # [tool.semcache] offers = {...} in its pyproject.toml: where it is not installed, errors can name it.
    registry, offers = Registry.installed(), {}
    for kind in KINDS:
        own = [offer.component for offer in registry.offers(kind) if offer.distribution == name]
        offers[kind] = [component.name for component in own]
        if kind == "embedders":
            offers["local_embedders"] = [component.name for component in own if component.local]
    assert declared(FOLDERS[NAMES.index(name)]) == {kind: names for kind, names in offers.items() if names}


@pytest.mark.parametrize(
    ("kind", "component", "name"),
    [
        (kind, component, name)
        for folder, name in zip(FOLDERS, NAMES, strict=True)
        for kind, components in declared(folder).items()
        for component in components
    ],
)
def test_an_error_says_which_distribution_brings_a_component_that_is_not_installed(
    kind: str, component: str, name: str
) -> None:
    # An editable core learns of a new distribution when it is installed again: nox -s develop.
    assert elsewhere.owner(kind, component) == name
    assert name in (elsewhere.installs(kind, component) or "")


def test_a_folder_is_called_like_its_distribution() -> None:
    # The command that installs it from a checkout is made of that.
    assert [folder.name for folder in FOLDERS[1:]] == NAMES[1:]


def test_the_code_of_the_core_and_its_tools_name_no_distribution() -> None:
    tools = ("pyproject.toml", "noxfile.py", "hatch_offers.py", "conftest.py", "mkdocs.yml", ".pre-commit-config.yaml")
    code = [*(ROOT / "semcache_core").rglob("*.py"), *(ROOT / name for name in tools), *(ROOT / "docs").glob("*.py")]
    found = [
        f"{path.relative_to(ROOT)} names {name}"
        for path in [*code, ROOT / ".ci" / "run"]
        for name in NAMES[1:]
        if name in path.read_text("utf-8")
    ]
    assert found == []
