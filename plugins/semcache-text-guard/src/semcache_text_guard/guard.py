"""The verifier around the rules."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from semcache_core.types import Verdict

from .compare import compare
from .options import TextGuardOptions


class TextGuard:
    """Rejects a candidate whose text differs so that the answer changes: numbers, names, opposites, order, code."""

    Options = TextGuardOptions

    def __init__(self, options: TextGuardOptions | None = None) -> None:
        self._options = options or TextGuardOptions()

    @property
    def costly(self) -> bool:
        """False: the guard checks every candidate."""
        return False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        return None

    async def verify(self, query: str, candidate: str) -> Verdict:
        """Compare two prompts; symmetric, never raises, linear in the texts."""
        return compare(query, candidate)
