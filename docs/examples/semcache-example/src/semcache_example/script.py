"""The ``same-script`` verifier."""

import unicodedata
from typing import Self

from semcache_core.types import Accept, Reject, Verdict

from .options import SameScriptOptions


class SameScript:
    """Rejects an answer that was made for a question in another script."""

    Options = SameScriptOptions

    def __init__(self, options: SameScriptOptions) -> None:
        self._ignored = frozenset(options.ignore)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Nothing to close."""

    @property
    def costly(self) -> bool:
        """False: it is asked about every neighbour."""
        return False

    async def verify(self, query: str, candidate: str) -> Verdict:
        """Accept if both texts use the same scripts; one without letters goes with every other."""
        asked, stored = self._scripts(query), self._scripts(candidate)
        return Reject(reason="script") if asked and stored and asked != stored else Accept()

    def _scripts(self, text: str) -> set[str]:
        # The first word of a letter's name is its script: CYRILLIC SMALL LETTER A. An unnamed letter has none.
        names = {unicodedata.name(letter, "").partition(" ")[0] for letter in set(text) if letter.isalpha()}
        return names - self._ignored - {""}
