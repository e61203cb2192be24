"""The READMEs of the distributions as pages of the site: all are there, and their links lead to pages."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[3]
READMES = sorted([*REPOSITORY.glob("plugins/*/README.md"), *REPOSITORY.glob("integrations/*/README.md")])


@pytest.fixture
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("distributions", REPOSITORY / "docs" / "distributions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def readme(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a repository of two plugins, an integration and a page; return the README of the first plugin."""
    monkeypatch.setattr(hook, "ROOT", tmp_path)
    for name in ("plugins/one/README.md", "plugins/two/README.md", "integrations/three/README.md", "docs/a/page.md"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    return tmp_path / "plugins" / "one" / "README.md"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[two](../two/README.md)", "[two](two.md)"),
        ("[two](../two/README.md#what)", "[two](two.md#what)"),
        ("[three](../../integrations/three/README.md)", "[three](../integrations/three.md)"),
        ("[page](../../docs/a/page.md)", "[page](../a/page.md)"),
        ("[semcache](../../README.md)", "[semcache](../index.md)"),
        ("[licence](LICENSE) and [two](../two/README.md)", "licence and [two](two.md)"),
        (
            "[below](#below), [far](https://far.example/README.md)",
            "[below](#below), [far](https://far.example/README.md)",
        ),
        ("```\n[two](../two/README.md)\n```\n", "```\n[two](../two/README.md)\n```\n"),
    ],
)
def test_a_link_leads_to_the_page_of_what_it_names(hook: ModuleType, readme: Path, written: str, shown: str) -> None:
    readme.write_text(written)
    assert hook.page(readme) == shown


def test_every_readme_has_a_page(hook: ModuleType) -> None:
    assert sorted(readme for kind in hook.SECTIONS.values() for readme in hook.readmes(kind)) == READMES


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_a_readme_links_to_files_that_exist(readme: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", readme.read_text("utf-8"))
    assert [link for link in links if not (readme.parent / link).exists()] == []
