"""A found entry as the answer of one caller. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from semcache_core.engine.decide import Found
from semcache_core.engine.offload import LONG, Busy
from semcache_core.http import headers as rules
from semcache_core.http import status
from semcache_core.http.request import BUSY, CacheableRequest
from semcache_core.protocols import Answer, Framing
from semcache_core.reasons import Code
from semcache_core.types import Quiet

_PIECE = 16 * 1024
_decode_answer = msgspec.msgpack.Decoder(Answer).decode


class Replay(Quiet, msgspec.Struct, frozen=True):
    """An answer from the cache, ready to be sent. There is always a chunk, if only an empty one."""

    status: int
    headers: list[tuple[bytes, bytes]]
    chunks: Sequence[bytes]


async def framed(
    request: CacheableRequest,
    found: Found,
    *,
    now: float,
    fresh_id: str = "",
    stands_in: bool = False,
    upstream_status: int | None = None,
) -> Replay | Code:
    """Return what ``replayed`` does, and ``undecodable`` where it fails.

    A long stream is framed off the loop: each word of it is framed by itself.
    """

    def frame() -> Replay | Code:
        return replayed(
            request, found, now=now, fresh_id=fresh_id, stands_in=stands_in, upstream_status=upstream_status
        )

    record = found.record
    try:
        if record is None or len(record.payload) <= LONG or not request.known.mode.streamed:
            return frame()
        return await request.off_loop(frame)
    except Busy:
        return BUSY.reason
    except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be framed is asked for again
        request.context.engine.observatory.fault("replay", error)
        return "undecodable"


def replayed(
    request: CacheableRequest,
    found: Found,
    *,
    now: float,
    fresh_id: str = "",
    stands_in: bool = False,
    upstream_status: int | None = None,
) -> Replay | Code:
    """Return the found entry framed for this caller, or a reason code why it does not fit.

    ``fresh_id``: random text for a semantic hit. ``stands_in``: for a failing upstream (stale-if-error), which said
    ``upstream_status``; None: nothing.
    """
    record, route = found.record, request.route
    if record is None or record.kind != "http":
        return "mismatch"
    try:
        answer = _decode_answer(record.payload)
    except msgspec.MsgspecError:
        return "undecodable"
    if answer.vary and not rules.matches(answer.vary, request.head.headers, digests=request.context.digests):
        return "vary"
    mode = request.known.mode
    framing = Framing(
        streamed=mode.streamed,
        required=mode.required,
        exact=found.source == "exact",
        fresh_id=fresh_id,
        now=now,
        route=route.policy.route,
    )
    reply = route.answers.reply(answer, framing)
    if reply is None:
        return "mode-missing"
    chunks = reply.chunks if len(reply.chunks) == 1 else _in_pieces(reply.chunks)
    headers = list(answer.headers)
    if reply.content_type and (b"content-type", reply.content_type) not in headers:
        _settle_content_type(headers, reply.content_type)
    if len(chunks) == 1:
        headers.append((b"content-length", b"%d" % len(chunks[0])))
    if route.traits.private_hits:
        headers.append(status.PRIVATE)
    shown = request.profile.disclosure
    if stands_in:
        headers += status.stale_on_error(upstream_status, found.age, shown=shown)
    else:
        headers += status.hit(found, handle=request.handle(found.entry_id), shown=shown)
    return Replay(answer.status, headers, chunks)


def _settle_content_type(headers: list[tuple[bytes, bytes]], content_type: bytes) -> None:
    """Keep the stored content type where it says the same kind, with its parameters; replace it otherwise."""
    kind = content_type.partition(b";")[0]
    for at, (name, value) in enumerate(headers):
        if name == b"content-type":
            if not value.startswith(kind):
                headers[at] = (name, content_type)
            return
    headers.append((b"content-type", content_type))


def _in_pieces(chunks: Sequence[bytes]) -> list[bytes]:
    """Join small chunks: one send for each word of a long answer would cost more than the answer."""
    pieces: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= _PIECE:
            pieces.append(b"".join(waiting))
            waiting, size = [], 0
    if waiting or not pieces:
        pieces.append(b"".join(waiting))
    return pieces
