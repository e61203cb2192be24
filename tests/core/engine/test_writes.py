"""What waits to be written: bounded in bytes of answers, whatever the requests were."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from semcache_core.engine.decide import Found
from semcache_core.engine.jobs import Job
from semcache_core.library.fetch import record_of
from semcache_core.types import Query


def test_a_write_that_waits_holds_no_request(rig: Callable[..., AbstractAsyncContextManager[Any]]) -> None:
    async def main() -> None:
        async with rig() as open_rig:
            runtime = open_rig.cache.lifecycle.here()
            query = runtime.keys.of("How do I change my address?", {"pages": ["x" * 1000]})
            record = record_of(query, "In the settings.", runtime.policy, born_at=1.0)
            admission, absent = runtime.engine._admission, Found(outcome="miss", reason="absent")
            job = admission.job_of(query, record, policy=runtime.policy, tags=(), found=absent)
            assert isinstance(job, Job)
            assert (job.entry_id, job.text) == (query.entry_id, query.text)
            assert not [held for held in gc.get_referents(job) if isinstance(held, Query)]

    asyncio.run(main())


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_an_answer_too_large_for_the_store_is_returned_and_not_stored_with_a_reason(
    rig: Callable[..., AbstractAsyncContextManager[Any]], tmp_path: Path, store: str
) -> None:
    bound: dict[str, Any] = {"use": store, "max_bytes": 1_048_576}
    path = {} if store == "memory" else {"path": str(tmp_path / "cache.db")}

    async def main() -> None:
        async with rig({"response_store": bound | path, "vector_store": bound | path}) as open_rig:
            cache = open_rig.cache
            await cache.store("Is the small one kept?", "yes")
            large = "x" * 5_000_000
            assert await cache.get_or_call("Is the large one kept?", lambda: large) == large
            assert cache.stats().unstored == {"store-too-small": 1}
            assert (await cache.lookup("Is the small one kept?")).value == "yes"
            assert not await cache.lookup("Is the large one kept?")
            assert not await cache.store("Is the small one kept?", large), "and the old answer is outdated"
            await asyncio.sleep(0.1)
            assert not await cache.lookup("Is the small one kept?")

    asyncio.run(main())
