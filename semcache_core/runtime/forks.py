"""What a forked process forgets: the threads, connections and locks of its parent do not work in it."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Inherited(Protocol):
    """What may have been opened before the fork."""

    def forget_inherited(self) -> object:
        """Forget what the parent opened, and return it: it is kept, not closed."""


_ALL: weakref.WeakSet[Inherited] = weakref.WeakSet()

_KEPT: list[object] = []
"""Never closed: the parent of this process still uses the selector or file that both share."""


def forgets_in_child(opened: Inherited) -> None:
    """Call ``opened.forget_inherited()`` in each forked process, as long as it is referenced."""
    _ALL.add(opened)


def _forget() -> None:
    _KEPT.extend([opened.forget_inherited() for opened in tuple(_ALL)])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
