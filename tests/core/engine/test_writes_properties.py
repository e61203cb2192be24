"""Any sequence of writes, deletes and waits: what is stored in the end, and that the queues keep nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.engine.components import Guards, OpenComponents
from semcache_core.engine.embeddings import Embeddings
from semcache_core.engine.jobs import Job
from semcache_core.engine.maintenance import Maintenance
from semcache_core.engine.observe import Observatory
from semcache_core.engine.writes import Writes
from semcache_core.settings import LimitOptions
from semcache_core.testing import CountingEmbedder, FlakyStore
from semcache_core.types import Record, Space, Vector

NUMBERS = st.integers(0, 4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "write exact", "write now", "delete", "invalidate"]), NUMBERS),
        st.tuples(st.just("turns"), st.integers(1, 8)),
    ),
    max_size=25,
)
SCOPE = b"s" * 32


class Waiting(CountingEmbedder):
    """Takes some turns of the loop for each call, for one text."""

    batch_invariant = False

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return the vectors, later."""
        for _ in range(3):
            await asyncio.sleep(0)
        return await super().embed(texts)


def job(number: int, value: bytes, born_at: float, *, semantic: bool) -> Job:
    """Return the write of ``value`` as the answer to question ``number``."""
    text = f"Is gate {number} open?"
    record = Record(
        partition=b"p", scope=SCOPE, exact=b"e", text=text, kind="str", payload=value, born_at=born_at, expires_at=None
    )
    return Job(b"%d" % number, b"p", SCOPE, text, record, value, 0.0, (b"tag",), semantic)


@settings(max_examples=60, deadline=None, database=None)
@given(STEPS, st.booleans())
def test_what_was_written_last_is_stored_with_its_vector_and_what_was_deleted_is_not(
    steps: list[tuple[str, int]], no_wait: bool
) -> None:
    async def main() -> None:
        hidden = () if no_wait else ("get_nowait", "set_nowait")
        responses: Any = FlakyStore(MemoryResponseStore(MemoryResponseStore.Options()), without=hidden)
        vectors: Any = FlakyStore(MemoryVectorStore(MemoryVectorStore.Options()))
        async with responses, vectors, Waiting() as embedder:
            await vectors.prepare(Space(fingerprint="f", dimensions=embedder.dimensions))
            for store, method in ((responses, "set"), (responses, "delete"), (vectors, "upsert"), (vectors, "delete")):
                store.delay(method, seconds=0)
            parts, limits = OpenComponents.of(embedder=embedder, vectors=vectors, responses=responses), LimitOptions()
            observatory = Observatory((), clock=lambda: 0.0)
            guards = Guards.of(limits, clock=lambda: 0.0, on_fault=observatory.fault)
            embeddings = Embeddings(embedder, guards.embed, limits=limits, on_fault=observatory.fault)
            writes = Writes(parts, guards, embeddings, limits=limits, on_fault=observatory.fault)
            maintenance = Maintenance(parts, guards, writes, observatory)
            expected: dict[int, tuple[bytes, bool]] = {}
            for at, (step, number) in enumerate(steps):
                value, semantic = b"answer %d" % at, step != "write exact"
                if step == "turns":
                    for _ in range(number):
                        await asyncio.sleep(0)
                elif step == "delete":
                    await maintenance.forget(b"%d" % number)
                    expected.pop(number, None)
                elif step == "invalidate":
                    writes.forget_invalidated(frozenset({b"tag"}), float(at))
                    await responses.invalidate((b"tag",), before=float(at))
                    expected.clear()
                elif step == "write now":
                    assert await writes.write_now(job(number, value, float(at), semantic=semantic))
                    expected[number] = value, semantic
                else:
                    writes.queue(job(number, value, float(at), semantic=semantic))
                    expected[number] = value, semantic
            await writes.drain(5.0)
            for left in (writes._waiting, writes._unindexed, writes._by_scope, writes._under_way):
                assert not left
            for number in range(5):
                (stored,) = await responses.get((b"%d" % number,), now=0.0)
                assert number not in expected or stored.data == expected[number][0]
                assert number in expected or stored is None or stored.invalidated_at is not None
            (vector,) = await embedder.embed(["Is gate 0 open?"])
            found = {match.id for match in await vectors.search(vector, scope=SCOPE, limit=9, floor=0.0, now=0.0)}
            assert {b"%d" % number for number, (_, semantic) in expected.items() if semantic} <= found
            assert not observatory.stats().errors

    asyncio.run(main())
