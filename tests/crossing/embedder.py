"""An embedder without a model, as blind as real ones: it drops word order, polite words and invisible characters."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from semcache_core.protocols import Thresholds
from semcache_core.types import Vector

from .view import meaning


class BlindEmbedder:
    """Texts with the same words have the same vector, others are far apart. ``reads_numbers=False``: "item 1" and
    "item 2" are one word, so that only a verifier keeps them apart.
    """

    batch_invariant = True
    dimensions = 48
    max_tokens = None
    recommended = Thresholds(safe=0.97, balanced=0.95, loose=0.9)

    def __init__(self, *, reads_numbers: bool) -> None:
        self._reads_numbers = reads_numbers
        self._known: dict[str, Vector] = {}

    @property
    def fingerprint(self) -> str:
        """Say what makes the vectors."""
        return f"blind/1/{self._reads_numbers}"

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one unit vector per text."""
        return np.stack([self._of(text) for text in texts])

    def _of(self, text: str) -> Vector:
        vector = self._known.get(text)
        if vector is None:
            words = " ".join(sorted(meaning([_seen(text)])))
            if not self._reads_numbers:
                words = re.sub(r"\d+", "", words)
            seed = int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big")
            vector = np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)
            vector /= np.linalg.norm(vector)
            self._known[text] = vector
        return vector

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        """Close nothing."""


def _seen(text: str) -> str:
    """Return what a tokenizer leaves of a text: no marks, no invisible characters."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text)
    return "".join(each for each in apart if unicodedata.category(each) not in ("Mn", "Cf", "Cc", "Co"))
