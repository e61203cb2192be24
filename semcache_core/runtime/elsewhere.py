"""The components of this repository's distributions, installed or not: for errors that name what to install.

The build of the core writes ``elsewhere.json``: each distribution of the repository says in its own pyproject what it
offers. Without the file no distribution is known, and errors name none.
"""

from __future__ import annotations

import json
from pathlib import Path

from semcache_core.remedies import pip_install

FILE = Path(__file__).with_name("elsewhere.json")


def installs(kind: str, name: str) -> str | None:
    """Return the command that installs a component, or None if no known distribution offers it."""
    requirement = _known().get(kind, {}).get(name)
    return None if requirement is None else pip_install(requirement)


def owner(kind: str, name: str) -> str | None:
    """Return the distribution that offers a component, or None if no known distribution does."""
    requirement = _known().get(kind, {}).get(name)
    return None if requirement is None else requirement.partition("[")[0]


def installs_local_embedder() -> str | None:
    """Return the command that installs an embedder that needs no network and no key, or None if none is known."""
    names = sorted(_known().get("local_embedders", {}))
    return installs("local_embedders", names[0]) if names else None


def _known() -> dict[str, dict[str, str]]:
    """Return the requirement that installs a component, by kind and name."""
    try:
        known: dict[str, dict[str, str]] = json.loads(FILE.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return known
