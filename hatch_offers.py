"""Puts ``elsewhere.json`` into the core: which distribution of this repository offers which component.

Each says so in its own pyproject, under ``[tool.semcache]``. The source distribution of the core has no other
distribution beside it; it carries the file, and a build from it leaves the file as it is.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TARGET = "semcache_core/runtime/elsewhere.json"


class OffersHook(BuildHookInterface[Any]):
    """Writes the file into the source tree: an editable installation reads it there, a wheel packs it from there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file, unless it is there already and right."""
        target = Path(self.root, TARGET)
        found = offers(Path(self.root))
        text = json.dumps(found, indent=2, sort_keys=True) + "\n"
        if not found or (target.is_file() and target.read_text("utf-8") == text):
            return
        try:
            target.write_text(text, "utf-8")
        except OSError as error:
            # A checkout that may not be written to. The file serves error messages only.
            self.app.display_warning(f"{TARGET} cannot be written ({error}): errors will name no distribution")


def offers(root: Path) -> dict[str, dict[str, str]]:
    """Return the requirement that brings a component, by kind and name."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted([*root.glob("plugins/*/pyproject.toml"), *root.glob("integrations/*/pyproject.toml")]):
        pyproject = tomllib.loads(path.read_text("utf-8"))
        own = pyproject.get("tool", {}).get("semcache", {})
        extras = ",".join(own.get("suggested-extras", []))
        requirement = pyproject["project"]["name"] + (f"[{extras}]" if extras else "")
        for kind, names in own.get("offers", {}).items():
            for name in names:
                found.setdefault(kind, {}).setdefault(name, requirement)
    return found
