"""Assembles ``reasoning_details``, thoughts of the model in typed blocks (OpenRouter, MiniMax). Pure."""

from __future__ import annotations

from typing import Any

from .merging import says_nothing

__all__ = ["DETAILS", "ReasoningDetails", "are_blocks", "are_signed"]

DETAILS = "reasoning_details"
_TEXTS = ("text", "summary")
_SECRETS = ("signature", "data")

Json = dict[str, Any]


def are_blocks(details: object) -> bool:
    """Say whether these are blocks that a stream of chunks can carry: objects, each with its index."""
    return isinstance(details, list) and all(
        isinstance(block, dict) and type(block.get("index")) is int for block in details
    )


def are_signed(details: list[Any]) -> bool:
    """Say whether a block is encrypted or signed: only the caller that got it can use it."""
    return any(block.get(name) for block in details for name in _SECRETS)


class ReasoningDetails:
    """The blocks of one choice so far; a piece belongs to the block with its index and its type."""

    __slots__ = ("_blocks", "raw")

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, str], Json] = {}
        self.raw = False
        """True once a piece had content that only the event log can keep."""

    def take(self, pieces: list[Any]) -> None:
        """Receive the ``reasoning_details`` of one delta."""
        if not are_blocks(pieces):
            self.raw = True
            return
        for piece in pieces:
            block = self._blocks.setdefault((piece["index"], str(piece.get("type"))), {})
            for name, value in piece.items():
                if says_nothing(value):
                    continue
                if name in _TEXTS:
                    self._add_text(block, name, value)
                else:
                    self.raw = block.setdefault(name, value) != value or self.raw

    def whole(self) -> list[Json]:
        """Return the blocks."""
        return [
            {name: "".join(value) if name in _TEXTS else value for name, value in block.items()}
            for block in self._blocks.values()
        ]

    def _add_text(self, block: Json, name: str, text: object) -> None:
        if not isinstance(text, str):
            self.raw = True
            return
        pieces = block.setdefault(name, [])
        # Some servers send the text so far with each chunk; whether this one does, a common beginning leaves open.
        self.raw = self.raw or (len(pieces) == 1 and bool(pieces[0]) and text.startswith(pieces[0]))
        pieces.append(text)
