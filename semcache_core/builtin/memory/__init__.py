"""The ``memory`` stores: everything is kept in this process and lost with it."""

from semcache_core.builtin.memory.responses import MemoryResponseStore
from semcache_core.builtin.memory.vectors import MemoryVectorStore

__all__ = ["MemoryResponseStore", "MemoryVectorStore"]
