"""Frames stored chat completions: as the JSON body, or as an equivalent stream of chunks. Pure.

Nothing is added to the stored content. An answer that came as a stream is streamed again as it came, without padding
and comments. One that came whole begins with each choice's role, continues with its text split on word boundaries, ends
with the finish reasons, has a usage chunk only if the caller requested one, and closes with ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from semcache_core.authoring.sse import EventStream, framed
from semcache_core.protocols import Answer, Framing, Reply

from .event_log import Run, read_log
from .modes import STREAM, UNASKED_USAGE, USAGE, WHOLE, own_mode
from .renewal import Renewal
from .streaming import chunks_of, pieces_of_each_text

__all__ = ["reply"]

_decode = msgspec.json.Decoder().decode
# The members are kept byte for byte, except those that must change.
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_JSON = b"application/json"
_STREAM = b"text/event-stream; charset=utf-8"
_END = framed(b"[DONE]")
_DONE = b"[DONE]"
_EMPTY = (msgspec.Raw(b"[]"), msgspec.Raw(b"null"))
_NULL = msgspec.Raw(b"null")


def reply(answer: Answer, framing: Framing, *, zero_usage: bool = False) -> Reply | None:
    """Return the framed answer; None if it lacks a member that the caller's mode requires.

    ``zero_usage``: report zero tokens for a hit.
    """
    if framing.streamed:
        lacks = STREAM not in answer.offers or (USAGE in framing.required and USAGE not in answer.offers)
        as_stream = STREAM in answer.offers
    else:
        lacks = WHOLE not in answer.offers
        as_stream = lacks
    if lacks and own_mode(framing.streamed, framing.required) not in answer.offers:
        return None
    renewal = Renewal(framing, zero_usage=zero_usage)
    came_whole = answer.form == "body" and not answer.stream
    if not as_stream or (lacks and came_whole):
        return Reply(_JSON, (_json(answer.body, renewal),))
    events = _retold(answer, framing, renewal) if came_whole else _streamed(answer, framing, renewal)
    return None if events is None else Reply(_STREAM, (*events, _END))


def _json(body: bytes, renewal: Renewal) -> bytes:
    return _encode(renewal.members(_decode_members(body))) if renewal.changes else body


def _retold(answer: Answer, framing: Framing, renewal: Renewal) -> Iterator[bytes] | None:
    """Return the events of an answer that came whole; None: as a stream it would be too long."""
    body = renewal.usage(_decode(answer.body))
    pieces = pieces_of_each_text(body)
    return chunks_of(body, renewal, wants_usage=USAGE in framing.required, pieces=pieces) if pieces else None


def _streamed(answer: Answer, framing: Framing, renewal: Renewal) -> Iterator[bytes]:
    """Yield the events of an answer that came as a stream."""
    runs = read_log(answer.stream) if answer.stream else _runs(answer.body)
    shows_usage = USAGE in framing.required or UNASKED_USAGE in answer.offers
    for run in runs:
        yield from _replayed(run, renewal, shows_usage=shows_usage)


def _runs(log: bytes) -> Iterator[Run]:
    for event in EventStream().feed(log):
        if event.data.strip() == _DONE:
            return
        yield Run(event.data, event.name)


def _replayed(run: Run, renewal: Renewal, *, shows_usage: bool) -> Iterator[bytes]:
    """Yield the events of a run, without usage if this caller did not ask for it and gets none unasked."""
    if not renewal.changes and (shows_usage or b'"usage"' not in run.data):
        yield from run.framed()
        return
    members = _decode_members(run.data)
    if not shows_usage and "usage" in members:
        if _is_usage_only(members):
            return
        del members["usage"]
    yield from msgspec.structs.replace(run, data=_encode(renewal.members(members))).framed()


def _is_usage_only(members: dict[str, msgspec.Raw]) -> bool:
    """Say whether a caller gets this chunk only for its usage: many clients expect choices in every other one."""
    return members["usage"] != _NULL and members.get("choices", _NULL) in _EMPTY
