"""The ``memory`` stores: everything in this process, gone with it."""

from semcache_core.builtin.memory.responses import MemoryResponseStore
from semcache_core.builtin.memory.vectors import MemoryVectorStore

__all__ = ["MemoryResponseStore", "MemoryVectorStore"]
