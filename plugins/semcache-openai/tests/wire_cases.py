"""What providers really send, from ``wire_cases/*.json``; each says where its shape is documented.

A case has the ``request`` (members beside model and messages), the answer as a stream (``events``, one an item, or
``stream``, the text), the provider's own whole answer (``json``, where the stream says as much), and what is
``expected``: a ``hit`` for an equal request, for a ``paraphrase``, for a caller of ``json``; the ``form`` of the entry;
or why the answer is ``refused``. ``sdk`` is false where the OpenAI SDK itself cannot read the stream.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

CASES = Path(__file__).parent / "wire_cases"


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the answer."""

    hit: bool
    paraphrase: bool
    json: bool
    form: str = "body"
    refused: str = ""
    sdk: bool = True


class WireCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer of one provider."""

    name: str
    documented: str
    request: dict[str, Any]
    expected: Expected
    events: tuple[Any, ...] = ()
    stream: str = ""
    json: dict[str, Any] | None = None

    @property
    def asks_usage(self) -> bool:
        """Whether the request asked for usage."""
        return bool((self.request.get("stream_options") or {}).get("include_usage"))

    def body(self) -> bytes:
        """Return the stream."""
        return (self.stream or "".join(_framed(event) for event in self.events)).encode()


def wire_cases() -> list[WireCase]:
    """Return every case."""
    files = sorted(CASES.glob("*.json"))
    return [case for file in files for case in msgspec.json.decode(file.read_bytes(), type=list[WireCase])]


def chunks_in(body: bytes) -> list[dict[str, Any]]:
    """Return the chunks of a stream, decoded by the letter of the format: apart from what the recorder uses."""
    text = body.decode("utf-8-sig").replace("\r\n", "\n")
    blocks = [[line for line in block.split("\n") if line.startswith("data:")] for block in text.split("\n\n")]
    datas = ["\n".join(line[5:].removeprefix(" ") for line in lines) for lines in blocks if lines]
    return [json.loads(data) for data in datas if data not in ("[DONE]", "{}")]


def _framed(event: Any) -> str:
    if isinstance(event, str):
        return f"{event}\n\n" if event.startswith(":") else f"data: {event}\n\n"
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
