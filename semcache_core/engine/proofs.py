"""Credentials that the upstream recently accepted; ``identity = "shared"`` requires one for a hit."""

from __future__ import annotations

from collections import OrderedDict

_PROOFS_KEPT = 65_536
_PROOF_LASTS = 3600.0
"""Under ``identity = "shared"``: seconds for which an upstream's 2xx proves a credential."""


class Proofs:
    """Keeps which credentials the upstream recently accepted, and where.

    Under ``identity = "shared"`` only these get a cached answer, and only there.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def note(self, proof: bytes, *, now: float) -> None:
        """Note that the upstream answered a credential with 2xx; ``proof`` identifies the credential and the place."""
        self._until.pop(proof, None)
        if len(self._until) >= _PROOFS_KEPT:
            self._until.popitem(last=False)
        self._until[proof] = now + _PROOF_LASTS

    def withdraw(self, proof: bytes) -> None:
        """Note that the upstream rejected this credential there."""
        self._until.pop(proof, None)

    def hold(self, proof: bytes, *, now: float) -> bool:
        """Say whether the credential was accepted there within the last hour."""
        return self._until.get(proof, 0.0) > now
