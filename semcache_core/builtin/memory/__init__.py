"""The ``memory`` stores: everything in this process, gone with it."""

from .responses import MemoryResponseStore
from .vectors import MemoryVectorStore

__all__ = ["MemoryResponseStore", "MemoryVectorStore"]
