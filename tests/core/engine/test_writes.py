"""What waits to be written: bounded in bytes of answers, whatever the requests were."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from semcache_core.engine.writes import Job
from semcache_core.library.fetch import record_of
from semcache_core.types import Query


def test_a_write_that_waits_holds_no_request(rig: Callable[..., AbstractAsyncContextManager[Any]]) -> None:
    async def main() -> None:
        async with rig() as open_rig:
            runtime = open_rig.cache.lifecycle.here()
            query = runtime.keys.of("How do I change my address?", {"pages": ["x" * 1000]})
            record = record_of(query, "In the settings.", runtime.policy, born_at=1.0)
            job = runtime.engine.job_of(query, record, policy=runtime.policy)
            assert isinstance(job, Job)
            assert (job.entry_id, job.text) == (query.entry_id, query.text)
            assert not [held for held in gc.get_referents(job) if isinstance(held, Query)]

    asyncio.run(main())
