"""JSON paths of the configuration: ``$.messages[0].content``, ``$.items[*].date``, ``$['a.b']``, or a bare name."""

from __future__ import annotations

import re
from collections.abc import MutableMapping, MutableSequence
from typing import Any, Final

from semcache_core.authoring.json_form import check_names, folded
from semcache_core.errors import ConfigError

__all__ = ["ALL", "Path", "Step", "parse_path", "spots"]

ALL: Final = None
"""The step ``[*]`` or ``.*``: every member or element."""

Step = str | int | None
"""One step of a path: a member's name, an element's index, or ``ALL``."""
Path = tuple[Step, ...]
"""A parsed path: its steps from the top of the body."""

_STEP = re.compile(r"\.(\*|[^.\[\]*'\"]+)|\[(\*|-?\d+|'[^']*'|\"[^\"]*\")\]")


def parse_path(text: str) -> Path:
    """Return the steps of a JSON path; a text without ``$`` is the name of a top-level member. Raises ConfigError."""
    if not text.startswith("$"):
        return (text,)
    steps: list[Step] = []
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ConfigError(
                f"the JSON path {text!r} is not understood from {text[at:]!r} on; write $.name, [0] or [*]"
            )
        name, index = found.groups()
        if (name or index) == "*":
            steps.append(ALL)
        elif name is not None:
            steps.append(name)
        else:
            steps.append(index[1:-1] if index[0] in "'\"" else int(index))
        at = found.end()
    return tuple(steps)


def spots(root: list[Any], path: Path) -> list[tuple[Any, Any]]:
    """Return the places that ``path`` matches: (container, name or index) pairs.

    ``root`` is a list that contains only the decoded body, so that ``$`` itself has a container. Raises Ambiguous if a
    name on the path differs only in case from the one in ``path``.
    """
    found: list[tuple[Any, Any]] = [(root, 0)]
    for step in path:
        found = [place for container, key in found for place in _children(container[key], step)]
    return found


def _children(value: Any, step: Step) -> list[tuple[Any, Any]]:
    if isinstance(value, MutableMapping):
        if isinstance(step, str):
            check_names(value.keys(), folded((step,)))
            return [(value, step)] if step in value else []
        return [(value, name) for name in value] if step is ALL else []
    if isinstance(value, MutableSequence):
        if isinstance(step, int):
            return [(value, step)] if -len(value) <= step < len(value) else []
        return [(value, index) for index in range(len(value))] if step is ALL else []
    return []
