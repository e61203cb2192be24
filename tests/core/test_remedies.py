"""The command that an error suggests: from the checkout that the core was installed from, else from the index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from semcache_core.remedies import pip_install

REPOSITORY = Path(__file__).parents[2]

Installed = Callable[..., None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Put the metadata of a core on the path that was installed from ``url``."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def installed(url: str | None, **how: object) -> None:
        info = site / "semcache_core-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: semcache-core\nVersion: 0.1.0\n")
        if url is not None:
            (info / "direct_url.json").write_text(json.dumps({"url": url, **how}))

    return installed


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout: a plugin with data in a second one, and an integration that needs the plugin."""
    root = tmp_path / "check out"
    _distribution(root, "semcache-core")
    _distribution(root / "plugins", "semcache-data")
    _distribution(root / "plugins", "semcache-model", optional='data = ["Semcache_Data>=0.1", "numpy"]')
    _distribution(root / "integrations", "semcache-web", requires='"semcache-core[cli]", "semcache-model[data]", "x"')
    return root


def _distribution(place: Path, name: str, *, requires: str = "", optional: str = "") -> None:
    folder = place if name == "semcache-core" else place / name
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\ndependencies = [{requires}]\n[project.optional-dependencies]\n{optional}\n'
    )


@pytest.mark.parametrize(
    ("url", "how"),
    [
        (None, {}),
        ("https://index.example/semcache_core-0.1.0-py3-none-any.whl", {"archive_info": {}}),
        (REPOSITORY.joinpath("semcache_core-0.1.0-py3-none-any.whl").as_uri(), {"archive_info": {}}),
        ("https://git.example/semcache", {"vcs_info": {"vcs": "git", "commit_id": "0"}}),
        ("file:///no/such/checkout", {"dir_info": {}}),
    ],
)
def test_what_came_from_no_checkout_is_followed_by_a_distribution_of_the_index(
    installed: Installed, url: str | None, how: dict[str, object]
) -> None:
    installed(url, **how)
    assert pip_install("semcache-onnx[bundled]") == "pip install 'semcache-onnx[bundled]'"


def test_damaged_metadata_leads_to_the_index(installed: Installed, tmp_path: Path) -> None:
    installed(None)
    (tmp_path / "site" / "semcache_core-0.1.0.dist-info" / "direct_url.json").write_text("{")
    assert pip_install("semcache-onnx") == "pip install semcache-onnx"


def test_a_distribution_of_this_repository_is_installed_from_its_folder(installed: Installed) -> None:
    installed(REPOSITORY.as_uri(), dir_info={})
    plugins = REPOSITORY / "plugins"
    command = f"pip install {plugins}/semcache-bge-small '{plugins}/semcache-onnx[bundled]'"
    assert pip_install("semcache-onnx[bundled]") == command


def test_what_it_requires_from_the_checkout_comes_first_and_the_core_not_again(
    installed: Installed, checkout: Path
) -> None:
    installed(checkout.as_uri(), dir_info={})
    plugins, integrations = checkout / "plugins", checkout / "integrations"
    assert pip_install("semcache-web") == (
        f"pip install '{plugins}/semcache-data' '{plugins}/semcache-model[data]' '{integrations}/semcache-web'"
    )


def test_an_extra_that_is_not_asked_for_brings_nothing(installed: Installed, checkout: Path) -> None:
    installed(checkout.as_uri(), dir_info={})
    assert pip_install("semcache-model") == f"pip install '{checkout}/plugins/semcache-model'"


def test_an_extra_of_the_core_is_installed_from_the_root(installed: Installed, checkout: Path) -> None:
    installed(checkout.as_uri(), dir_info={})
    assert pip_install("semcache-core[cli]") == f"pip install '{checkout}[cli]'"


def test_an_editable_core_stays_editable(installed: Installed, checkout: Path) -> None:
    installed(checkout.as_uri(), dir_info={"editable": True})
    assert pip_install("semcache-core[cli]", "semcache-data") == (
        f"pip install -e '{checkout}[cli]' -e '{checkout}/plugins/semcache-data'"
    )


def test_what_the_checkout_does_not_have_and_options_stay_as_they_are(installed: Installed, checkout: Path) -> None:
    installed(checkout.as_uri(), dir_info={})
    assert pip_install("--upgrade", "other==1.0", "semcache-redis") == "pip install --upgrade other==1.0 semcache-redis"


def test_a_pyproject_that_cannot_be_read_requires_nothing(installed: Installed, checkout: Path) -> None:
    installed(checkout.as_uri(), dir_info={})
    (checkout / "plugins" / "semcache-model" / "pyproject.toml").write_text("[project")
    assert pip_install("semcache-model[data]") == f"pip install '{checkout}/plugins/semcache-model[data]'"
