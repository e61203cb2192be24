"""The command that installs what is missing, for errors and notices: one that works where semcache was installed from.

Whoever installed the core from a checkout of the repository finds the other distributions there, and an index may not
have them. pip notes where a distribution came from; this module reads that note.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

__all__ = ["pip_install"]

_CORE = "semcache-core"
_FOLDERS = ("plugins", "integrations")


def pip_install(*arguments: str) -> str:
    """Return ``pip install ARGUMENTS``, ready for a shell; the arguments are requirements and options of pip.

    Where the core was installed from a checkout, a requirement that is in the checkout becomes its folder, after
    what it needs from there itself. Reads files, and never raises: call it when there is something to say.
    """
    checkout = _checkout()
    words = ["pip", "install"]
    for argument in arguments:
        words += (checkout.found(argument) if checkout else []) or [argument]
    return shlex.join(words)


@dataclass(frozen=True, slots=True)
class _Checkout:
    """The folder that the core was installed from."""

    root: Path
    editable: bool

    def found(self, requirement: str) -> list[str]:
        """Return what pip takes instead of a requirement: folders of the checkout, or nothing if it has none."""
        # Without -e, pip would replace an editable core by a copy.
        option = ["-e"] if self.editable else []
        return [word for folder in self._with_needs(requirement, seen=set()) for word in (*option, folder)]

    def _with_needs(self, requirement: str, *, seen: set[str]) -> Iterator[str]:
        name, extras = _split(requirement)
        folder = self._folder(name)
        if folder is None or requirement in seen:
            return
        seen.add(requirement)
        for needed in _requirements(folder, extras):
            if _split(needed)[0] != _CORE:  # which is installed: it asks
                yield from self._with_needs(needed, seen=seen)
        yield f"{folder}{extras}"

    def _folder(self, name: str) -> Path | None:
        places = [self.root] if name == _CORE else [self.root / folder / name for folder in _FOLDERS]
        return next((place for place in places if (place / "pyproject.toml").is_file()), None)


def _checkout() -> _Checkout | None:
    try:
        # https://packaging.python.org/en/latest/specifications/direct-url/; absent after an installation from an index.
        note = json.loads(distribution(_CORE).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, OSError, ValueError):
        return None
    url = urlsplit(note.get("url", ""))
    if url.scheme != "file" or "dir_info" not in note:
        return None
    return _Checkout(Path(url2pathname(url.path)), editable=bool(note["dir_info"].get("editable")))


def _requirements(folder: Path, extras: str) -> list[str]:
    """Return what a distribution requires, with these extras."""
    try:
        project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return []
    optional = project.get("optional-dependencies", {})
    chosen = [each for extra in re.findall(r"[^\[\],\s]+", extras) for each in optional.get(extra, [])]
    return [*project.get("dependencies", []), *chosen]


def _split(requirement: str) -> tuple[str, str]:
    """Return a requirement's name and its extras: ``("semcache-redis", "[search]")``."""
    found = re.match(r"([\w.-]+)\s*(\[[^\]]*\])?", requirement)
    return (re.sub(r"[-_.]+", "-", found[1]).lower(), found[2] or "") if found else ("", "")
