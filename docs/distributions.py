"""Puts the README of every distribution into the site, while mkdocs builds: a page each, and a section for each kind.

The distributions are found by their folders. A link of a README to another README or to a page of the docs leads to
the page in the site; what is not in the site is not linked.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
SECTIONS = {"Plugins": "plugins", "Integrations": "integrations"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the sections to the navigation, before its last one (called by mkdocs)."""
    sections = [
        {title: [{readme.parent.name: place(readme)} for readme in readmes(kind)]} for title, kind in SECTIONS.items()
    ]
    config.nav = [*(config.nav or ())[:-1], *sections, *(config.nav or ())[-1:]]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages (called by mkdocs)."""
    from mkdocs.structure.files import File

    for kind in SECTIONS.values():
        for readme in readmes(kind):
            files.append(File.generated(config, place(readme), content=page(readme)))
    return files


def readmes(kind: str) -> list[Path]:
    """Return the READMEs of all distributions in a folder, by name."""
    return sorted(ROOT.glob(f"{kind}/*/README.md"))


def place(readme: Path) -> str:
    """Return where in the site the page of a README is: ``plugins/semcache-redis.md``."""
    return f"{readme.parent.relative_to(ROOT).as_posix()}.md"


def page(readme: Path) -> str:
    """Return a README whose links lead to pages of the site."""
    # Every second part is a fenced block.
    parts = re.split(r"(^```.*?^```)", readme.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [
        re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", lambda link: _link(readme, *link.groups()), p) for p in parts[::2]
    ]
    return "".join(parts)


def _link(readme: Path, text: str, target: str) -> str:
    if re.match(r"[a-z]+:|#", target):
        return f"[{text}]({target})"
    path, mark, anchor = target.partition("#")
    found = _in_site((readme.parent / path).resolve())
    if found is None:
        return text
    return f"[{text}]({os.path.relpath(found, Path(place(readme)).parent)}{mark}{anchor})"


def _in_site(file: Path) -> str | None:
    """Return where in the site a file of the repository is, or None."""
    if file == ROOT / "README.md":
        return "index.md"
    if file in [readme for kind in SECTIONS.values() for readme in readmes(kind)]:
        return place(file)
    docs = ROOT / "docs"
    return file.relative_to(docs).as_posix() if file.is_relative_to(docs) and file.suffix == ".md" else None
